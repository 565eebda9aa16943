internal import CkptBytes
internal import CkptPlatform
internal import CkptSafetensors
internal import CkptStateDicts
internal import CkptTensors

/// Writes safetensors shards and their index, with the assignment of huggingface_hub's
/// `save_torch_state_dict`.
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
    // Each shard contains its part of the index's metadata, so that the index can be recreated from
    // the shards.
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

/// Writes PyTorch shards and their index; tensors that share a storage are in the same shard.
enum ShardedPyTorchWriter: FormatWriter {
  static let format = Checkpoint.Format.pytorchIndex
  static let endings = [".bin.index.json"]

  static func plan(
    _ checkpoint: Checkpoint, to path: String, _ options: WriteOptions
  ) throws -> OutputPlan {
    var options = options
    // These files can represent shared elements.
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

/// The folder and file names of a sharded output.
struct ShardedOutput {
  /// The folder of the files.
  let folder: String
  /// The beginning of the files' names.
  let stem: String
  /// The ending of the files' names.
  let ending: String
  /// Whether the output was given as the index's name, in which case the index is written even for
  /// a single file.
  let namesIndex: Bool

  /// Creates an output at `path`, which is the index's name or the folder's.
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

  /// The name of the index.
  var indexName: String { stem + ending + ".index.json" }

  /// Computes the layout of the files; the index is last.
  func plan(
    _ alone: TensorsAlone, _ format: Checkpoint.Format, _ options: WriteOptions,
    indexMetadata: [(key: String, value: String)],
    makeFile: (_ name: String, [(key: String, tensor: Tensor)]) throws -> OutputPlan.File
  ) throws -> OutputPlan {
    var storages: [ObjectIdentifier: Int] = [:]
    let items = alone.tensors.map { _, tensor in
      // A tensor that is made contiguous has its own storage.
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
      // In safetensors, each storage is used completely by its tensor.
      let total =
        format == .safetensorsIndex
        ? alone.tensors.reduce(0) { $0 + $1.tensor.byteCount } : split.totalByteCount
      let index = ShardIndex.encoded(
        files: positions, totalByteCount: total, metadata: indexMetadata)
      files.append(.init(name: indexName, bytes: index))
    }
    return OutputPlan(
      format: format, folder: folder, files: files, isObsolete: { [self] in isOurs($0) },
      report: alone.report)
  }

  /// Whether a file in the folder is one of a checkpoint of the same name, which would be mistaken
  /// for a part of this one; transformers removes them, too.
  private func isOurs(_ name: String) -> Bool {
    name == stem + ending || name == indexName || ShardSplit.parse(name, ending)?.stem == stem
  }
}
