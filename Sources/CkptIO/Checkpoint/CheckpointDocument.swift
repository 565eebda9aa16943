package import CkptPickle
package import CkptBytes
package import CkptPlatform
package import CkptStateDicts
internal import CkptTensors
package import CkptText

/// A checkpoint as it was read. Its tensors and objects refer to it as their origin.
package final class CheckpointDocument: Sendable {
  /// The objects of the pickle. For a format without a pickle, a dict with a None in place of each
  /// tensor (``Checkpoint/spelledOut()``).
  package let graph: PickleGraph
  /// The storages by the number of their persistent ID.
  package let storages: StorageTable
  /// The plain tensors by object number.
  package let tensors: TensorTable
  /// The format.
  package let format: Checkpoint.Format
  /// The path of the file or folder; empty for a new checkpoint.
  package let path: String
  /// The open files that contain the tensors, or were needed to find them.
  package let files: [File]
  /// The text metadata that the format stores beside the objects, in order, such as safetensors'
  /// `__metadata__`.
  package let metadata: [(key: String, value: String)]
  /// The keys of ``metadata`` that are names of tied tensors, which have been restored.
  package let recordedTies: ExactSet
  /// The complete metadata of a GGUF file, to be copied to another GGUF file.
  package let nativeMetadata: NativeMetadata?
  /// The records of a PyTorch archive other than the pickle, the storages, and PyTorch's own data;
  /// names are without the top folder.
  package let otherRecords: [(name: String, source: ByteSource)]

  /// Creates a document from its parts.
  package init(
    graph: PickleGraph, storages: StorageTable, tensors: TensorTable,
    format: Checkpoint.Format, path: String, files: [File],
    metadata: [(key: String, value: String)] = [], nativeMetadata: NativeMetadata? = nil,
    otherRecords: [(name: String, source: ByteSource)] = [], recordedTies: ExactSet = []
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

  /// Creates the document of a file with pickles, given its storages.
  ///
  /// - Throws: `CheckpointError.badObject` if a tensor exceeds its storage or is invalid.
  package convenience init(
    _ graph: PickleGraph, _ storages: StorageTable, format: Checkpoint.Format, file: File
  ) throws {
    self.init(
      graph: graph, storages: storages,
      tensors: try TensorReader(graph, storages: storages, file: file.path).tensors,
      format: format, path: file.path, files: [file])
  }

  /// Creates an empty document with a dict as its root.
  convenience init() {
    var graph = PickleGraph()
    graph.root = graph.addObject(.dict)
    self.init(
      graph: graph, storages: StorageTable([:]), tensors: [:], format: .pytorchZip, path: "",
      files: [])
  }

  /// Creates the document of a format without a pickle; its root is a dict of the tensors.
  ///
  /// Values from other documents (the shards of a checkpoint) are copied with all objects they
  /// refer to.
  ///
  /// - Throws: `CheckpointError` for values that cannot be stored in a new checkpoint.
  package convenience init(
    _ stateDict: StateDict, format: Checkpoint.Format, path: String, files: [File],
    metadata: [(key: String, value: String)] = [], nativeMetadata: NativeMetadata? = nil,
    recordedTies: ExactSet = []
  ) throws {
    try self.init(
      Checkpoint(stateDict), format: format, path: path, files: files, metadata: metadata,
      nativeMetadata: nativeMetadata, recordedTies: recordedTies)
  }

  /// Creates a document from the objects of a new checkpoint.
  convenience init(
    _ made: Checkpoint, format: Checkpoint.Format, path: String, files: [File],
    metadata: [(key: String, value: String)] = [], nativeMetadata: NativeMetadata? = nil,
    recordedTies: ExactSet = []
  ) throws {
    var graph = made.graph
    graph.seal()
    self.init(
      graph: graph, storages: StorageTable(made.addedStorages), tensors: made.addedTensors,
      format: format, path: path, files: files, metadata: metadata,
      nativeMetadata: nativeMetadata, recordedTies: recordedTies)
  }
}
