internal import CkptText
internal import CkptPlatform
internal import CkptSafetensors
internal import CkptStateDicts
internal import CkptTensors

/// Reads a sharded checkpoint by its index, `*.index.json`.
enum ShardedReader: FormatReader {
  static func recognizes(_ input: CheckpointInput) -> Bool {
    guard case .file(_, let start) = input else { return false }
    return ShardIndex.isLikely(start)
  }

  static func document(of input: CheckpointInput) throws -> CheckpointDocument {
    guard case .file(let file, _) = input else {
      throw FileError(.cannotOpen, "is a folder, not a file", path: input.path)
    }
    let index = try ShardIndex(reading: file)
    let folder = try Folder(of: file)
    var shards: ExactDictionary<Shard> = [:]
    var order: [String] = []
    for (_, name) in index.files where shards[name] == nil {
      guard folder.contains(name) else {
        if hasOtherShards(folder, than: Set(index.files.map(\.file))) {
          throw CheckpointError.badShard(
            index: file.path,
            "the shard \(Text.quoted(name)) is missing, and there are others")
        }
        throw SafetensorsError.badIndex(file: file.path, "the shard \"\(name)\" is missing")
      }
      shards[name] = try Shard(folder.open(name))
      order.append(name)
    }
    try check(index, shards, file.path)
    var stateDict = StateDict()
    for (key, name) in index.files {
      if let value = shards[name]?.values.value(for: key) { stateDict.setValue(value, for: key) }
    }
    let all = order.compactMap { shards[$0] }
    let isSafetensors = all.allSatisfy { $0.format == .safetensors }
    let metadata = metadata(index, all)
    let ties = RecordedTies.restore(in: &stateDict, from: metadata)
    return try CheckpointDocument(
      stateDict, format: isSafetensors ? .safetensorsIndex : .pytorchIndex, path: file.path,
      files: [file] + all.map(\.file), metadata: metadata,
      recordedTies: ties)
  }

  /// Whether the folder contains a complete set of shards that the index does not name, which
  /// indicates an outdated index.
  private static func hasOtherShards(_ folder: Folder, than named: Set<String>) -> Bool {
    var sets: [String: (count: Int, numbers: Set<Int>)] = [:]
    for ending in [".safetensors", ".bin"] {
      for name in folder.names where !named.contains(name) {
        guard let parts = ShardSplit.parse(name, ending) else { continue }
        let key = "\(parts.stem)/\(parts.count)" + ending
        sets[key, default: (parts.count, [])].numbers.insert(parts.number)
      }
    }
    return sets.values.contains { $0.numbers.count == $0.count && $0.count > 0 }
  }

  /// Checks that every key is in the file that the index names, and in no other.
  private static func check(
    _ index: ShardIndex, _ shards: ExactDictionary<Shard>, _ path: String
  ) throws {
    for (key, name) in index.files where shards[name]?.values.value(for: key) == nil {
      let other = shards.keys.sorted().first { shards[$0]?.values.value(for: key) != nil }
      throw CheckpointError.badShard(
        index: path,
        "the key \(Text.quoted(key)) is not in the shard \(Text.quoted(name)), as the index says"
          + (other.map { ", but in \(Text.quoted($0))" } ?? ""))
    }
    let positions = Dictionary(index.files.map { (ExactText($0.key), $0.file) }) { $1 }
    for (name, shard) in shards.sorted(by: { $0.key < $1.key }) {
      for key in shard.values.keys where positions[ExactText(key)] != name {
        let position = positions[ExactText(key)]
        throw CheckpointError.badShard(
          index: path,
          "the key \(Text.quoted(key)) is in the shard \(Text.quoted(name)), "
            + (position.map { "but the index says in \(Text.quoted($0))" } ?? "but not in the index")
        )
      }
    }
  }

  /// The metadata of the shards, each key once, and of the index.
  private static func metadata(
    _ index: ShardIndex, _ shards: [Shard]
  ) -> [(key: String, value: String)] {
    var seen = ExactSet()
    return (shards.flatMap(\.metadata) + index.metadata).filter { seen.insert($0.key).inserted }
  }

  /// One file of the checkpoint, without restoring recorded ties.
  struct Shard {
    let file: File
    let format: Checkpoint.Format
    let values: StateDict
    let metadata: [(key: String, value: String)]

    /// Reads a shard. An index is not accepted, so that an index cannot refer to itself.
    init(_ file: File) throws {
      self.file = file
      let input = try CheckpointInput(file)
      if SafetensorsReader.recognizes(input) {
        let header = try SafetensorsHeader(reading: file)
        var values = StateDict()
        for (key, tensor) in try header.tensors(in: file) { values[key] = tensor }
        self.values = values
        format = .safetensors
        metadata = header.metadata ?? []
      } else {
        guard !ShardedReader.recognizes(input) else {
          throw CheckpointError.notACheckpoint(file: file.path, "an index is no shard")
        }
        let checkpoint = try Checkpoint(file)
        format = checkpoint.format
        values = try checkpoint.stateDict(at: "/")
        metadata = []
      }
    }
  }
}

/// Finds the checkpoint in a folder of Hugging Face's layout.
enum HubFolderReader: FormatReader {
  static func recognizes(_ input: CheckpointInput) throws -> Bool {
    guard case .folder(let folder) = input else { return false }
    return !candidates(folder).isEmpty
  }

  static func document(of input: CheckpointInput) throws -> CheckpointDocument {
    guard case .folder(let folder) = input, let first = candidates(folder).first else {
      throw FileError(.cannotOpen, "is a folder that holds no checkpoint", path: input.path)
    }
    let others = candidates(folder).dropFirst().filter { rank($0) == rank(first) }
    guard others.isEmpty else {
      throw CheckpointError.unclearFolder(folder: folder.path, candidates: [first] + others)
    }
    return try FormatRegistry.document(of: CheckpointInput(folder.open(first)))
  }

  /// The files that may be the checkpoint, the most likely first.
  private static func candidates(_ folder: Folder) -> [String] {
    let named = folder.names.filter { rank($0) < 8 }
    return named.sorted { (rank($0), $0) < (rank($1), $1) }
  }

  /// The priority of a name, as in transformers: safetensors before PyTorch, usual names before
  /// others. Shards are found by their index.
  private static func rank(_ name: String) -> Int {
    switch name {
    case "model.safetensors": return 0
    case "model.safetensors.index.json": return 1
    case "pytorch_model.bin": return 4
    case "pytorch_model.bin.index.json": return 5
    default: break
    }
    if name.hasPrefix(".") { return 8 }
    if name.hasSuffix(".safetensors.index.json") { return 2 }
    if name.hasSuffix(".safetensors") {
      return ShardSplit.parse(name, ".safetensors") == nil ? 3 : 8
    }
    if name.hasSuffix(".bin.index.json") { return 6 }
    return 8
  }
}
