internal import CkptPickle
internal import CkptBytes
internal import CkptPlatform
internal import CkptStateDicts
internal import CkptTensors

/// A checkpoint as it was read; tensors and objects remember it as their origin.
final class CheckpointDocument: Sendable {
  /// The objects: the pickle's, or for a format without one a dict in which None stands for each tensor
  /// (``Checkpoint/spelledOut()``).
  let graph: PickleGraph
  /// The storages by persistent id.
  let storages: StorageTable
  /// The plain tensors, by number.
  let tensors: TensorTable
  /// What was read.
  let format: Checkpoint.Format
  /// How the file or folder was named; empty for a checkpoint that was made here.
  let path: String
  /// The open files that the tensors lie in, or that led to them.
  let files: [File]
  /// What the format holds beside the objects, in its order, such as safetensors' `__metadata__`.
  let metadata: [(key: String, value: String)]
  /// The keys of ``metadata`` that are names of tied tensors, which have their tensors again.
  let recordedTies: Set<String>
  /// All that a GGUF file says of itself, for a GGUF file that is made from it.
  let nativeMetadata: NativeMetadata?
  /// Records of a PyTorch archive that are neither the pickle nor a storage nor PyTorch's own notes,
  /// without the folder.
  let otherRecords: [(name: String, source: ByteSource)]

  /// A document of these parts.
  init(
    graph: PickleGraph, storages: StorageTable, tensors: TensorTable,
    format: Checkpoint.Format, path: String, files: [File],
    metadata: [(key: String, value: String)] = [], nativeMetadata: NativeMetadata? = nil,
    otherRecords: [(name: String, source: ByteSource)] = [], recordedTies: Set<String> = []
  ) {
    self.recordedTies = recordedTies
    self.graph = graph
    self.storages = storages
    self.tensors = tensors
    self.format = format
    self.path = path
    self.files = files
    self.metadata = metadata
    self.nativeMetadata = nativeMetadata
    self.otherRecords = otherRecords
  }

  /// A document of one file with pickles, whose storages were found.
  convenience init(
    _ graph: PickleGraph, _ storages: StorageTable, format: Checkpoint.Format, file: File
  ) throws {
    self.init(
      graph: graph, storages: storages,
      tensors: try TensorReader(graph, storages: storages, file: file.path).tensors,
      format: format, path: file.path, files: [file])
  }

  /// A checkpoint made here, with an empty dict as its root.
  convenience init() {
    var graph = PickleGraph()
    graph.root = graph.addObject(.dict)
    self.init(
      graph: graph, storages: StorageTable([:]), tensors: [:], format: .pytorchZip, path: "",
      files: [])
  }

  /// A document for a format without a pickle: its root is a dict of the tensors.
  ///
  /// Values of other documents (the shards of a checkpoint) are copied in with all that they lead to.
  convenience init(
    _ stateDict: StateDict, format: Checkpoint.Format, path: String, files: [File],
    metadata: [(key: String, value: String)] = [], nativeMetadata: NativeMetadata? = nil,
    recordedTies: Set<String> = []
  ) throws {
    try self.init(
      Checkpoint(stateDict), format: format, path: path, files: files, metadata: metadata,
      nativeMetadata: nativeMetadata, recordedTies: recordedTies)
  }

  /// A document of what was put together in a checkpoint made here.
  convenience init(
    _ made: Checkpoint, format: Checkpoint.Format, path: String, files: [File],
    metadata: [(key: String, value: String)] = [], nativeMetadata: NativeMetadata? = nil,
    recordedTies: Set<String> = []
  ) throws {
    var graph = made.graph
    graph.seal()
    self.init(
      graph: graph, storages: StorageTable(made.addedStorages), tensors: made.addedTensors,
      format: format, path: path, files: files, metadata: metadata,
      nativeMetadata: nativeMetadata, recordedTies: recordedTies)
  }
}
