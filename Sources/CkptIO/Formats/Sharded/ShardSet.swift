internal import CkptText
internal import CkptBytes
internal import CkptPlatform
internal import CkptSafetensors
internal import CkptStateDicts
internal import CkptTensors

/// Complete shards in a folder without an index, such as those written by several machines.
package struct ShardSet: Sendable {
  /// The names of the shards, in order.
  package let shards: [String]
  /// The number of tensors in the shards.
  package let tensorCount: Int
  /// The plan of writing the index.
  package let plan: OutputPlan

  /// Reads the headers of the shards that an index would contain.
  ///
  /// - Parameters:
  ///   - folder: the folder of the shards.
  ///   - indexName: the index's path, which must be in the same folder. Without `.index.json` it is
  ///     the shards' name without their numbers.
  /// - Throws: `CheckpointError.badShard` if a shard is missing or a key occurs twice; `FileError`.
  package init(_ folder: String, indexName: String) throws {
    let isSafetensors = !indexName.hasSuffix(".bin.index.json")
    let ending = isSafetensors ? ".safetensors" : ".bin"
    let position = ShardedOutput(
      indexName, stem: isSafetensors ? "model" : "pytorch_model", ending: ending)
    guard position.namesIndex else {
      throw CheckpointError.cannotWrite(
        file: indexName, "an index is called NAME.safetensors.index.json or NAME.bin.index.json",
        hint: "such as \(folder)/model.safetensors.index.json")
    }
    let files = try Folder(folder)
    var found = files.names.compactMap { name in
      ShardSplit.parse(name, ending).map { (name: name, parts: $0) }
    }.filter { $0.parts.stem == position.stem }.sorted { $0.parts.number < $1.parts.number }
    let single = position.stem + ending
    if found.isEmpty, files.contains(single) { found = [(single, (position.stem, 0, 1))] }
    guard let count = found.first?.parts.count else {
      throw CheckpointError.badShard(
        index: folder, "no file is called \(position.stem)-00001-of-0000N\(ending)")
    }
    let names = Dictionary(found.map { ($0.parts.number, $0.name) }) { first, _ in first }
    guard found.allSatisfy({ $0.parts.count == count }), names.count == found.count else {
      throw CheckpointError.badShard(
        index: folder,
        "the shards are of different checkpoints: "
          + found.map(\.name).prefix(8).joined(separator: ", "))
    }
    let missing = (0..<count).filter { names[$0] == nil }
    guard missing.isEmpty else {
      throw CheckpointError.badShard(
        index: folder,
        "the shard \"\(ShardSplit.fileName(position.stem, ending, number: missing[0], of: count))\" is missing"
          + (missing.count > 1 ? ", and \(missing.count - 1) more" : ""))
    }
    var positions: [(key: String, file: String)] = []
    var seen: [ExactText: String] = [:]
    var total = 0
    var metadata: [(key: String, value: String)] = []
    for (name, _) in found {
      let shard = try ShardedReader.Shard(files.open(name))
      metadata += shard.metadata
      var storages = Set<ObjectIdentifier>()
      for (key, value) in shard.values {
        if let other = seen.updateValue(name, forKey: ExactText(key)) {
          throw CheckpointError.badShard(
            index: folder,
            "the key \(Text.quoted(key)) is in two shards, \(other) and \(name)")
        }
        positions.append((key, name))
        for tensor in value.tensors where storages.insert(ObjectIdentifier(tensor.storage)).inserted
        {
          total += tensor.storage.byteCount
        }
      }
    }
    shards = found.map(\.name)
    tensorCount = positions.count
    let index = ShardIndex.encoded(
      files: positions, totalByteCount: total, metadata: Self.indexMetadata(metadata))
    plan = OutputPlan(
      format: isSafetensors ? .safetensorsIndex : .pytorchIndex, folder: position.folder,
      files: [.init(name: position.indexName, bytes: index)])
  }

  /// Whether the index already exists with the same contents.
  ///
  /// - Throws: `FileError`.
  package func isThere() throws -> Bool {
    guard let index = plan.files.last, plan.replaces else { return false }
    return try index.isThere(at: plan.path + "/" + index.name)
  }

  /// The metadata of an index, collected from the metadata of its shards: each key once, without
  /// the format.
  static func indexMetadata(
    _ metadata: [(key: String, value: String)]
  ) -> [(key: String, value: String)] {
    var seen: Set = ["format"]
    return metadata.filter { seen.insert($0.key).inserted }
  }
}
