internal import CkptBytes
internal import CkptText
package import CkptPlatform

/// The index of a sharded checkpoint: for each tensor, the file in the same folder that contains
/// it.
///
/// `model.safetensors.index.json` and `pytorch_model.bin.index.json` have the same structure:
/// `{"metadata": {"total_size": 123}, "weight_map": {"fc.weight":
/// "model-00001-of-00002.safetensors"}}`.
package struct ShardIndex: Sendable {
  /// The maximum size of an index in bytes.
  static let byteLimit = 256 << 20

  /// The keys with the names of their files, in the index's order.
  package let files: [(key: String, file: String)]
  /// The strings in `metadata`, in order; huggingface_hub stores the names of tied tensors there.
  package let metadata: [(key: String, value: String)]

  /// Whether a file that begins with these bytes may be an index, because it begins with a JSON
  /// object. (The first eight bytes of a safetensors file are a number and include zeros.)
  package static func isLikely(_ start: some Collection<UInt8>) -> Bool {
    start.first { ![0x20, 0x09, 0x0A, 0x0D].contains($0) } == UInt8(ascii: "{")
      && !start.prefix(8).contains(0)
  }

  /// Reads the index in `file`.
  ///
  /// - Throws: `SafetensorsError` if the file is not an index, a key occurs twice, or a file is not
  ///   in the index's own folder; `FileError`.
  package init(reading file: File) throws {
    guard file.size <= Self.byteLimit else {
      throw SafetensorsError.badIndex(
        file: file.path, "an index has at most \(Self.byteLimit) bytes, not \(file.size)")
    }
    var files: [(key: String, file: String)]?
    var metadata: [(key: String, value: String)]?
    do throws(any Error) {
      var reader = JSONReader(
        .region(FileRegion(file: file, offset: 0, byteCount: file.size, name: "the index")))
      try reader.object { reader, key in
        switch key {
        case "weight_map":
          guard files == nil else { throw reader.failure("weight_map occurs twice") }
          files = try Self.readFiles(&reader, file.path)
        case "metadata":
          guard metadata == nil else { throw reader.failure("metadata occurs twice") }
          metadata = try Self.readMetadata(&reader)
        default: try reader.skipValue()
        }
      }
      try reader.finish()
    } catch let failure as JSONReader.Failure {
      throw SafetensorsError.badJSON(
        file: file.path, "the index makes no sense: \(failure.problem)", offset: failure.offset)
    }
    guard let files else {
      throw SafetensorsError.badIndex(
        file: file.path, "a JSON file without a weight_map is no index")
    }
    self.files = files
    self.metadata = metadata ?? []
  }

  private static func readFiles(
    _ reader: inout JSONReader, _ path: String
  ) throws -> [(key: String, file: String)] {
    var files: [(key: String, file: String)] = []
    var keys = Set<ExactText>()
    var names: ExactDictionary<String> = [:]
    try reader.object { reader, key in
      guard keys.insert(ExactText(key)).inserted else {
        throw SafetensorsError.badIndex(
          file: path, "the key \(Text.quoted(key)) occurs twice")
      }
      let name = try reader.string(limit: 4096)
      guard Folder.isPlain(name) else {
        throw SafetensorsError.badIndex(
          file: path,
          "the key \(Text.quoted(key)) is said to lie outside the index's folder, "
            + "in \(Text.quoted(name))")
      }
      // Equal names share one string.
      let known = names[name] ?? name
      names[name] = known
      files.append((key, known))
    }
    return files
  }

  private static func readMetadata(
    _ reader: inout JSONReader
  ) throws -> [(key: String, value: String)] {
    var result: [(key: String, value: String)] = []
    var keys = Set<ExactText>()
    try reader.object { reader, key in
      guard keys.insert(ExactText(key)).inserted else {
        throw reader.failure("a key of metadata occurs twice")
      }
      if let value = try reader.stringIfAny(limit: 1 << 20) {
        result.append((key, value))
      } else {
        try reader.skipValue()
      }
    }
    return result
  }

  /// The text of the index in `file`, with other names of its files; nil if it refers to none of
  /// them, or is no index.
  ///
  /// - Parameter names: the new names by the old ones.
  package static func redirected(_ file: File, _ names: [String: String]) -> [UInt8]? {
    guard file.size <= byteLimit, let bytes = try? file.bytes(at: 0, count: file.size),
      let text = String(validating: bytes, as: UTF8.self),
      case .object(var members)? = try? JSONValue(parsing: text),
      let place = members.firstIndex(where: { $0.name == "weight_map" }),
      case .object(var files) = members[place].value
    else { return nil }
    var isChanged = false
    for index in files.indices {
      guard case .string(let name) = files[index].value, let new = names[name] else { continue }
      files[index] = .init(files[index].name, .string(new))
      isChanged = true
    }
    guard isChanged else { return nil }
    members[place] = .init("weight_map", .object(files))
    return Array(JSONValue.object(members).text(.python).utf8)
  }

  /// The text of an index as transformers writes it: sorted keys, two spaces per level, only ASCII.
  ///
  /// - Parameters:
  ///   - totalByteCount: the value of `total_size`.
  ///   - metadata: the other contents of `metadata`.
  package static func encoded(
    files: [(key: String, file: String)], totalByteCount: Int,
    metadata: [(key: String, value: String)] = []
  ) -> [UInt8] {
    var writer = JSONWriter(.python)
    func object(_ name: String, _ entries: [(key: String, value: JSONValue)]) {
      writer.name(name)
      writer.beginObject()
      for (key, value) in entries.sorted(by: {
        $0.key.utf8.lexicographicallyPrecedes($1.key.utf8)
      }) {
        writer.name(key)
        writer.value(value)
      }
      writer.end()
    }
    let notes = metadata.filter { $0.key != "total_size" }.map {
      ($0.key, JSONValue.string($0.value))
    }
    writer.beginObject()
    object("metadata", [("total_size", .number("\(totalByteCount)"))] + notes)
    object("weight_map", files.map { ($0.key, .string($0.file)) })
    writer.end()
    return writer.bytes + [UInt8(ascii: "\n")]
  }
}
