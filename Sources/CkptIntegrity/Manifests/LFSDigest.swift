internal import Foundation
package import CkptPlatform
internal import CkptText

/// The digest and the size that the Hub, or Git LFS, records for a file.
package struct LFSDigest: Sendable, Equatable {
  /// A way of computing a digest.
  package enum Kind: String, Sendable {
    /// SHA-256 of the bytes, as for all large files.
    case sha256
    /// The name of Git's blob, as for small files.
    case gitBlob = "git-blob"
  }

  /// How the digest is computed.
  package let kind: Kind
  /// The digest in hexadecimal digits.
  package let digest: String
  /// The size in bytes; nil if it is not recorded.
  package let byteCount: Int?

  /// Reads what a user gives: `sha256:` with 64 digits, `cache` for what the Hub's cache records
  /// for the file, or the path of a pointer.
  ///
  /// - Throws: ``ManifestError``; `FileError`.
  package init(_ text: String, for path: String) throws {
    if text == "cache" {
      self = try Self.cached(path)
    } else if text.utf8.starts(with: "sha256:".utf8) {
      let digits = text.dropFirst(7).lowercased()
      guard digits.isHexadecimal(64) else {
        throw ManifestError.badPointer(file: text, "sha256: is followed by 64 hexadecimal digits")
      }
      self.init(kind: .sha256, digest: digits, byteCount: nil)
    } else {
      try self.init(pointer: File(readingFrom: text))
    }
  }

  private init(kind: Kind, digest: String, byteCount: Int?) {
    self.kind = kind
    self.digest = digest
    self.byteCount = byteCount
  }

  /// Reads a pointer of Git LFS: lines of a key and a value, `version` first, the others sorted.
  ///
  /// - Throws: ``ManifestError/badPointer(file:_:)``; `FileError`.
  init(pointer file: File) throws {
    func bad(_ problem: String) -> ManifestError { .badPointer(file: file.path, problem) }
    // The specification: a pointer has less than 1024 bytes.
    guard file.size < 1024 else {
      throw bad("a pointer of Git LFS has less than 1024 bytes, and this has \(file.size)")
    }
    guard let text = String(validating: try file.bytes(at: 0, count: file.size), as: UTF8.self)
    else { throw bad("no pointer of Git LFS, but bytes that are no text") }
    var values: [String: String] = [:]
    for line in text.split(whereSeparator: \.isNewline) {
      let parts = line.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2, values[String(parts[0])] == nil else {
        throw bad("no pointer of Git LFS: a line is no key and value, or a key occurs twice")
      }
      values[String(parts[0])] = String(parts[1])
    }
    guard
      ["https://git-lfs.github.com/spec/v1", "https://hawser.github.com/spec/v1"]
        .contains(values["version"])
    else { throw bad("no pointer of Git LFS of version 1") }
    guard let oid = values["oid"], oid.hasPrefix("sha256:"),
      String(oid.dropFirst(7)).isHexadecimal(64)
    else { throw bad("the pointer has no oid with a sha256") }
    guard let size = values["size"].flatMap({ Int($0) }), size >= 0 else {
      throw bad("the pointer has no size")
    }
    self.init(kind: .sha256, digest: String(oid.dropFirst(7)), byteCount: size)
  }

  /// What huggingface_hub records for a file: in its cache, the name of the blob that a link leads
  /// to; beside a download into a folder, `.cache/huggingface/download/NAME.metadata`, whose second
  /// line is the digest.
  private static func cached(_ path: String) throws -> LFSDigest {
    if let whole = Folder.resolved(path) {
      let parts = whole.split(separator: "/").map(String.init)
      if parts.count >= 2, parts[parts.count - 2] == "blobs",
        let found = LFSDigest(blob: parts[parts.count - 1])
      {
        return found
      }
      for depth in 1...max(parts.count, 1) where depth <= parts.count {
        let folder = "/" + parts.dropLast(depth).joined(separator: "/")
        let name = parts.suffix(depth).joined(separator: "/")
        let metadata = "\(folder)/.cache/huggingface/download/\(name).metadata"
        guard let size = Folder.byteCount(ofFileAt: metadata), size <= 4096 else { continue }
        let bytes = try File(readingFrom: metadata).bytes(at: 0, count: size)
        let lines = String(decoding: bytes, as: UTF8.self).split(
          separator: "\n", omittingEmptySubsequences: false)
        if lines.count >= 2, let found = LFSDigest(blob: String(lines[1])) { return found }
      }
    } else {
      _ = try File(readingFrom: path)
    }
    throw ManifestError.notInCache(file: path)
  }

  private init?(blob name: String) {
    if name.isHexadecimal(64) {
      self.init(kind: .sha256, digest: name, byteCount: nil)
    } else if name.isHexadecimal(40) {
      self.init(kind: .gitBlob, digest: name, byteCount: nil)
    } else {
      return nil
    }
  }
}

/// The result of comparing a file with what the Hub, or Git LFS, records for it.
package struct LFSReport: Sendable {
  /// What is recorded.
  package let recorded: LFSDigest
  /// The file's size in bytes.
  package let byteCount: Int
  /// The file's digest; nil if the size differs already.
  package let digest: String?

  /// Whether the file is a pointer itself, in place of what it stands for.
  package let isPointer: Bool

  /// Whether the file has the recorded digest and size.
  package var isIntact: Bool { digest == recorded.digest }

  /// Reads the file at `path` and compares it.
  ///
  /// - Throws: `FileError`; `CancelledError`.
  package init(
    of path: String, against recorded: LFSDigest, cancellation: Cancellation = Cancellation(),
    progress: (@Sendable (Int) -> Void)? = nil
  ) throws {
    let file = try File(readingFrom: path)
    self.recorded = recorded
    byteCount = file.size
    isPointer = (try? LFSDigest(pointer: file)) != nil
    guard recorded.byteCount == nil || recorded.byteCount == file.size else {
      digest = nil
      return
    }
    switch recorded.kind {
    case .sha256:
      digest = try FileDigest.sha256(of: file, cancellation: cancellation, progress: progress)
    case .gitBlob: digest = try FileDigest.gitBlob(of: file, cancellation, progress)
    }
  }
}
