internal import Foundation
internal import CkptBytes
package import CkptPlatform
internal import CkptText

extension ModelManifest {
  /// The maximum size of a manifest in bytes.
  private static let byteLimit = 256 << 20

  /// Reads a manifest: a statement, a DSSE envelope with one, or a signature of model-signing,
  /// whose signature itself is not verified.
  ///
  /// - Throws: ``ManifestError``; `FileError`.
  package init(reading file: File) throws {
    guard file.size <= Self.byteLimit else {
      throw ManifestError.badManifest(
        file: file.path, "a manifest has at most \(Self.byteLimit) bytes, not \(file.size)")
    }
    var parsed = ParsedStatement()
    do throws(any Error) {
      let region = FileRegion(file: file, offset: 0, byteCount: file.size, name: "the manifest")
      try parsed.read(.region(region), file: file.path)
      if let payload = parsed.payload {
        guard let bytes = Data(base64Encoded: payload).map(Array.init) else {
          throw ManifestError.badManifest(file: file.path, "the envelope's payload is not base64")
        }
        parsed = ParsedStatement()
        try parsed.read(.bytes(bytes), file: file.path)
        parsed.isSigned = true
      }
    } catch let failure as JSONReader.Failure {
      throw ManifestError.badManifest(
        file: file.path, "no manifest: \(failure.problem), byte \(failure.offset)")
    }
    self = try parsed.manifest(file: file.path)
  }
}

/// The members of a statement, as they are met.
private struct ParsedStatement {
  var isSigned = false
  /// The payload of an envelope, if the text is one.
  private(set) var payload: String?

  private var type: String?
  private var predicateType: String?
  private var subjects: [(name: String, sha256: String?)] = []
  private var method = "files"
  private var hashType: String?
  private var followsLinks = false
  private var ignored: [String] = []
  private var resources: [(name: String, algorithm: String, digest: String)] = []
  private var coversFolder = true
  private var contents: [ModelManifest.Contents] = []

  private static let nameLimit = 1 << 16

  mutating func read(_ source: ByteSource, file: String) throws {
    var reader = JSONReader(source)
    try member(&reader) { statement, reader, key in
      switch key {
      case "_type": statement.type = try reader.string(limit: Self.nameLimit)
      case "predicateType": statement.predicateType = try reader.string(limit: Self.nameLimit)
      case "subject": try reader.array { try statement.readSubject(&$0) }
      case "predicate": try statement.readPredicate(&reader)
      case "payload": statement.payload = try reader.string(limit: source.byteCount)
      case "dsseEnvelope", "dsse_envelope":
        try statement.member(&reader) { statement, reader, key in
          guard key == "payload" else { return try reader.skipValue() }
          statement.payload = try reader.string(limit: source.byteCount)
        }
      default: try reader.skipValue()
      }
    }
    try reader.finish()
  }

  /// Reads an object whose names must differ.
  private mutating func member(
    _ reader: inout JSONReader,
    _ body: (inout ParsedStatement, inout JSONReader, String) throws -> Void
  ) throws {
    var seen: Set<ExactText> = []
    try reader.object { reader, key in
      guard seen.insert(ExactText(key)).inserted else {
        throw reader.failure("\(Text.quoted(key)) occurs twice")
      }
      try body(&self, &reader, key)
    }
  }

  private mutating func readSubject(_ reader: inout JSONReader) throws {
    var (name, digest) = ("", String?.none)
    try member(&reader) { statement, reader, key in
      switch key {
      case "name": name = try reader.string(limit: Self.nameLimit)
      case "digest":
        try statement.member(&reader) { _, reader, key in
          guard key == "sha256" else { return try reader.skipValue() }
          digest = try reader.string(limit: 64)
        }
      default: try reader.skipValue()
      }
    }
    subjects.append((name, digest))
  }

  private mutating func readPredicate(_ reader: inout JSONReader) throws {
    try member(&reader) { statement, reader, key in
      switch key {
      case "serialization": try statement.readSerialization(&reader)
      case "resources": try reader.array { try statement.readResource(&$0) }
      case "covers": statement.coversFolder = try reader.string(limit: 100) != "files"
      case "checkpoints": try reader.array { try statement.readContents(&$0) }
      default: try reader.skipValue()
      }
    }
  }

  private mutating func readSerialization(_ reader: inout JSONReader) throws {
    try member(&reader) { statement, reader, key in
      switch key {
      case "method": statement.method = try reader.string(limit: 100)
      case "hash_type": statement.hashType = try reader.string(limit: 100)
      case "ignore_paths":
        try reader.array { statement.ignored.append(try $0.string(limit: Self.nameLimit)) }
      default: try reader.skipValue()
      }
    }
  }

  private mutating func readResource(_ reader: inout JSONReader) throws {
    var (name, algorithm, digest) = ("", "", "")
    try member(&reader) { _, reader, key in
      switch key {
      case "name": name = try reader.string(limit: Self.nameLimit)
      case "algorithm": algorithm = try reader.string(limit: 100)
      case "digest": digest = try reader.string(limit: 1000)
      default: try reader.skipValue()
      }
    }
    resources.append((name, algorithm, digest))
  }

  private mutating func readContents(_ reader: inout JSONReader) throws {
    var (name, digests) = ("", [ExactText: String]())
    try member(&reader) { statement, reader, key in
      switch key {
      case "name": name = try reader.string(limit: Self.nameLimit)
      case "tensors":
        try statement.member(&reader) { _, reader, key in
          digests[ExactText(key)] = try reader.string(limit: 64)
        }
      default: try reader.skipValue()
      }
    }
    contents.append(ModelManifest.Contents(checkpoint: name, digests: digests))
  }

  // MARK: - Meaning

  func manifest(file: String) throws -> ModelManifest {
    func bad(_ problem: String) -> ManifestError { .badManifest(file: file, problem) }
    guard type == ModelManifest.statementType else {
      throw bad("no in-toto statement of version 1")
    }
    var manifest = ModelManifest(name: subjects.first?.name ?? "", resources: [])
    switch predicateType {
    case ModelManifest.predicateType?:
      guard subjects.count == 1, let digest = subjects[0].sha256 else {
        throw bad("the statement is not about one model with a sha256")
      }
      try checkHash(file)
      manifest.resources = try resources.map { name, algorithm, digest in
        // Of a shard, the name of the algorithm ends with the shards' size.
        guard
          algorithm == "sha256" || method == "shards" && algorithm.hasPrefix("sha256-sharded-")
        else {
          throw ManifestError.otherHash(file: file, algorithm)
        }
        return try resource(name, digest, file)
      }
      guard ModelManifest.rootDigest(resources.map(\.digest)) == digest else {
        throw bad("the manifest is inconsistent: its files' digests do not give that of the model")
      }
    case ModelManifest.oldPredicateType?:
      manifest.resources = try subjects.map { try resource($0.name, $0.sha256 ?? "", file) }
    default: throw bad("the statement is no model's signature, but \(shown(predicateType))")
    }
    guard !manifest.resources.isEmpty else { throw bad("the manifest lists no files") }
    var seen: [ExactText: Set<Range<Int>?>] = [:]
    for one in manifest.resources {
      guard seen[ExactText(one.file), default: []].insert(one.range).inserted else {
        throw bad("\(shown(one.file)) is listed twice")
      }
    }
    for one in contents where one.checkpoint != "." && !ModelFiles.isBelow(one.checkpoint) {
      throw bad("\(shown(one.checkpoint)) is not in the model's folder")
    }
    manifest.contents = contents
    manifest.ignored = ignored
    manifest.coversFolder = coversFolder
    manifest.isSigned = isSigned
    return manifest
  }

  private func shown(_ text: String?) -> String { text.map { Text.quoted($0) } ?? "nothing" }

  private func checkHash(_ file: String) throws {
    guard hashType == nil || hashType == "sha256" else {
      throw ManifestError.otherHash(file: file, hashType ?? "")
    }
    guard ["files", "shards"].contains(method) else {
      throw ManifestError.badManifest(
        file: file, "the model is taken apart in an unknown way, \(Text.quoted(method))")
    }
  }

  private func resource(
    _ name: String, _ digest: String, _ file: String
  ) throws -> ModelManifest.Resource {
    var (path, range) = (name, Range<Int>?.none)
    if method == "shards", predicateType == ModelManifest.predicateType {
      let parts = name.split(separator: ":", omittingEmptySubsequences: false)
      guard parts.count == 3, let start = Int(parts[1]), let end = Int(parts[2]), start >= 0,
        start <= end
      else {
        throw ManifestError.badManifest(
          file: file, "\(Text.quoted(name)) is no file with a range of bytes")
      }
      (path, range) = (String(parts[0]), start..<end)
    }
    guard path == "." || ModelFiles.isBelow(path) else {
      throw ManifestError.badManifest(
        file: file, "\(Text.quoted(path)) is not in the model's folder")
    }
    guard digest.isHexadecimal(64) else {
      throw ManifestError.badManifest(
        file: file, "the digest of \(Text.quoted(path)) is no sha256")
    }
    return ModelManifest.Resource(file: path, range: range, sha256: digest)
  }
}
