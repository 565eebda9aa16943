internal import CkptBytes
internal import CkptPlatform
internal import CkptSafetensors
internal import CkptStateDicts
internal import CkptTensors

/// Writes safetensors shards and their index, as huggingface_hub's `save_torch_state_dict` deals them out.
enum ShardedSafetensorsWriter: FormatWriter {
  static let format = Checkpoint.Format.safetensorsIndex
  static let endings = [".index.json"]

  static func plan(
    _ checkpoint: Checkpoint, to path: String, _ options: WriteOptions
  ) throws -> OutputPlan {
    let alone = try checkpoint.tensorsAlone(options, as: format) {
      SafetensorsType($0.dtype) != nil
    }
    let position = ShardedOutput(path, stem: "model", ending: ".safetensors")
    let metadata = SafetensorsWriter.metadata(of: checkpoint, alone)
    let ties = Set(alone.report.tied.map(\.key))
    // Each shard says what the index says, as far as it concerns it: so the index can be had from them.
    return try position.plan(
      alone, format, options, indexMetadata: ShardSet.indexMetadata(metadata)
    ) { name, tensors in
      let keys = Set(tensors.map(\.key))
      return try SafetensorsWriter.file(
        named: name, tensors,
        metadata: metadata.filter { !ties.contains($0.key) || keys.contains($0.value) })
    }
  }
}

/// Writes PyTorch shards and their index; tensors of one storage stay together.
enum ShardedPyTorchWriter: FormatWriter {
  static let format = Checkpoint.Format.pytorchIndex
  static let endings = [".bin.index.json"]

  static func plan(
    _ checkpoint: Checkpoint, to path: String, _ options: WriteOptions
  ) throws -> OutputPlan {
    var options = options
    // These files can hold what is shared.
    options.ties = .copy
    let alone = try checkpoint.tensorsAlone(options, as: format) { _ in true }
    let position = ShardedOutput(path, stem: "pytorch_model", ending: ".bin")
    return try position.plan(alone, format, options, indexMetadata: []) { name, tensors in
      var stateDict = StateDict()
      for (key, tensor) in tensors { stateDict[key] = tensor }
      return try PyTorchZipWriter.file(Checkpoint(stateDict), named: name)
    }
  }
}

/// Where a sharded output goes, and what its files are called.
struct ShardedOutput {
  /// The folder that holds the files.
  let folder: String
  /// What the files' names begin with.
  let stem: String
  /// What they end with.
  let ending: String
  /// Whether the index was asked for by its name, so that it is written even for a single file.
  let namesIndex: Bool

  /// An output at `path`: the index's name, or the folder's.
  init(_ path: String, stem: String, ending: String) {
    guard path.hasSuffix(".index.json") else {
      (folder, self.stem, self.ending, namesIndex) = (path, stem, ending, false)
      return
    }
    let slash = path.lastIndex(of: "/")
    folder = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    let name = (slash.map { path[path.index(after: $0)...] } ?? path[...]).dropLast(11)
    let own = name.hasSuffix(ending) ? name.dropLast(ending.count) : name
    self.stem = own.isEmpty ? stem : String(own)
    self.ending = ending
    namesIndex = true
  }

  /// The index's name.
  var indexName: String { stem + ending + ".index.json" }

  /// Lays out the files, the index last.
  func plan(
    _ alone: TensorsAlone, _ format: Checkpoint.Format, _ options: WriteOptions,
    indexMetadata: [(key: String, value: String)],
    makeFile: (_ name: String, [(key: String, tensor: Tensor)]) throws -> OutputPlan.File
  ) throws -> OutputPlan {
    var storages: [ObjectIdentifier: Int] = [:]
    let items = alone.tensors.map { _, tensor in
      // What is made contiguous has a storage of its own.
      guard tensor.isContiguous else {
        return ShardSplit.Item(byteCount: tensor.byteCount, storage: nil)
      }
      guard tensor.storage.byteCount > 0 else { return ShardSplit.Item(byteCount: 0, storage: -1) }
      let number = storages[ObjectIdentifier(tensor.storage)] ?? storages.count
      storages[ObjectIdentifier(tensor.storage)] = number
      return ShardSplit.Item(byteCount: tensor.storage.byteCount, storage: number)
    }
    let split = ShardSplit(items, limit: options.maxShardByteCount ?? WriteOptions.shardByteCount)
    let count = split.shards.count
    var files: [OutputPlan.File] = []
    var positions: [(key: String, file: String)] = []
    for (number, members) in split.shards.enumerated() {
      let name = ShardSplit.fileName(stem, ending, number: number, of: count)
      files.append(try makeFile(name, members.map { alone.tensors[$0] }))
      positions += members.map { (alone.tensors[$0].key, name) }
    }
    if namesIndex || count != 1 {
      // Safetensors holds no storage that a tensor uses in part.
      let total =
        format == .safetensorsIndex
        ? alone.tensors.reduce(0) { $0 + $1.tensor.byteCount } : split.totalByteCount
      let index = ShardIndex.encoded(
        files: positions, totalByteCount: total, metadata: indexMetadata)
      files.append(.init(name: indexName, bytes: index))
    }
    return OutputPlan(
      format: format, folder: folder, files: files, obsolete: obsolete(files),
      report: alone.report)
  }

  /// Files of an earlier checkpoint of the same name in the folder, which would be taken for parts of
  /// this one; transformers removes them, too.
  private func obsolete(_ files: [OutputPlan.File]) -> [String] {
    let new = Set(files.map(\.name))
    let there = (try? Folder(folder))?.names ?? []
    return there.filter { name in
      let isOurs =
        name == stem + ending || name == indexName || ShardSplit.parse(name, ending)?.stem == stem
      return isOurs && !new.contains(name)
    }
  }
}
