package import CkptPlatform
internal import CkptSafetensors

/// A file that is not a checkpoint, but is often mistaken for one.
public struct OtherFile: Sendable, Hashable {
  /// The kind of file with its article, such as `an HTML page`.
  public let name: String
  /// What the caller can do about it.
  public let hint: String
  /// Whether the file contains other files that have not been examined.
  package var isArchive = false
  /// Whether the file was written by PyTorch, so that it is not damaged although it contains no
  /// state dict.
  package var isPyTorch = false
}

extension OtherFile {
  /// Identifies a file by its contents.
  ///
  /// A few hundred bytes are read at the start, and at positions that these refer to.
  ///
  /// - Parameter start: the first bytes of the file, 512 or all.
  /// - Returns: the kind of file; nil if it may be a checkpoint.
  package static func recognize(_ file: File, start: [UInt8]) throws -> OtherFile? {
    if start.isEmpty {
      return OtherFile(
        name: "an empty file", hint: "the download or the writing did not begin; get it again")
    }
    // A safetensors header's length may equal any magic number.
    if SafetensorsHeader.isLikely(start, fileSize: file.size) { return nil }
    if let row = OtherFileTable.rows.first(where: { $0.matches(start) }) {
      return row.name == OtherFileTable.gzip
        ? try insideGzip(file, row.file) : row.file
    }
    return try text(file, start) ?? protobuf(start) ?? messagePack(start) ?? tar(file, start)
      ?? elsewhere(file, start)
  }

  /// Identifies the contents of an archive's record by its first bytes alone; nil if they do not
  /// tell.
  package static func recognize(start: [UInt8]) -> OtherFile? {
    if let row = OtherFileTable.rows.first(where: { $0.matches(start) }) { return row.file }
    return protobuf(start) ?? messagePack(start)
  }

  /// Describes an unknown file.
  package static func unknown(_ start: [UInt8]) -> OtherFile {
    if isText(start) {
      return OtherFile(
        name: "a text file", hint: "name the file that holds the weights")
    }
    return OtherFile(
      name: "of no format that is known",
      hint: "if it is a checkpoint, its beginning is damaged or enciphered; get it again")
  }

  /// Whether the first bytes are UTF-8 text, possibly cut off within a character.
  package static func isText(_ start: [UInt8]) -> Bool {
    guard !start.contains(where: { $0 < 32 && ![9, 10, 12, 13, 27].contains($0) }) else {
      return false
    }
    return (0..<4).contains { cut in
      String(validating: start.dropLast(start.count < 512 ? 0 : cut), as: UTF8.self) != nil
    }
  }
}

extension CheckpointError {
  /// The kind of file, if the error is about a file that is not a checkpoint.
  package var otherFile: OtherFile? {
    if case .otherFile(_, let other) = self { other } else { nil }
  }
}
