internal import CkptBytes
internal import CkptPlatform
internal import CkptTensors

extension Checkpoint {
  /// A file format of checkpoints.
  public enum Format: String, Sendable, CaseIterable {
    /// A zip archive that `torch.save` writes.
    case pytorchZip = "pytorch-zip"
    /// A zip archive that `torch.jit.save` writes.
    case torchScript = "torchscript"
    /// Consecutive pickles and storages, as `torch.save` wrote them before PyTorch 1.6.
    case pytorchLegacy = "pytorch-legacy"
    /// A tar archive, as `torch.save` wrote it before PyTorch 0.1.10.
    case pytorchTar = "pytorch-tar"
    /// One pickle, as `pickle.dump` writes it.
    case pickle
    /// A safetensors file.
    case safetensors
    /// Safetensors files with an index, as in Hugging Face's sharded models.
    case safetensorsIndex = "safetensors-index"
    /// Files written by `torch.save`, with an index.
    case pytorchIndex = "pytorch-index"

    /// A folder that `torch.distributed.checkpoint` writes.
    case distributed = "pytorch-distributed"
    /// A folder written by DeepSpeed with ZeRO stage 1, 2, or 3.
    case deepSpeed = "deepspeed"
    /// A single NumPy array.
    case npy
    /// A zip archive of NumPy arrays.
    case npz
    /// A file of llama.cpp and related programs.
    case gguf

    /// Whether the format contains only the tensors of one state dict, which is the root.
    public var holdsTensorsAlone: Bool {
      switch self {
      case .safetensors, .safetensorsIndex, .pytorchIndex, .npy, .npz, .gguf, .deepSpeed: true
      default: false
      }
    }
  }
}

/// A reader of one format.
///
/// To add a format:
/// 1. Write the parser in a module of its own (`Sources/Ckpt…`) that depends only on bytes and
///   `File`s, so that it can be tested without a checkpoint. It returns names and `Tensor`s whose
///   storages are regions of the file, or computed.
/// 2. Add a case to ``Checkpoint/Format``.
/// 3. Write a type here that conforms to this protocol, and add it to ``FormatRegistry/readers``.
///   For a format without a pickle, create the document with
///   ``CheckpointDocument/init(_:format:path:files:metadata:)`` from a `StateDict`; it creates the
///   graph that PyTorch's writer needs, and all commands work. For a format with pickles, create
///   the graph and use the memberwise initializer.
///
/// All input is untrusted: numbers from the file are checked against the file's size before memory
/// is allocated, and no function is recursive.
package protocol FormatReader {
  /// Whether `input` has this format, judged by its first bytes or by the names in the folder,
  /// never by its own name. The first reader in the registry that returns true is used.
  ///
  /// - Throws: `FileError`.
  static func recognizes(_ input: CheckpointInput) throws -> Bool

  /// Reads everything except the tensors' bytes.
  ///
  /// - Throws: `FileError`; `CheckpointError`; the format's own errors.
  static func document(of input: CheckpointInput) throws -> CheckpointDocument
}

/// A writer of one format.
///
/// To add one, conform to this protocol and add the type to ``FormatRegistry/writers``. A format
/// that contains only tensors uses ``Checkpoint/tensorsAlone(_:as:holds:)``, which finds the state
/// dict, handles ties and other objects, and reports both. `Tensor.resolvedSource()` is the source
/// of a tensor's bytes, and `StreamWriter` writes them. An output of several files lists them in
/// the order in which they are put in place; the index by which readers find the others is last.
protocol FormatWriter {
  /// The format that is written.
  static var format: Checkpoint.Format { get }

  /// The endings of output names that select this format.
  static var endings: [String] { get }

  /// Whether quantized blocks from which a tensor was read are written unchanged.
  static func keepsBlocks(of tensor: Tensor, _ options: WriteOptions) -> Bool

  /// Computes the layout of the output from sizes only; no tensor is read.
  static func plan(
    _ checkpoint: Checkpoint, to path: String, _ options: WriteOptions
  ) throws -> OutputPlan
}

extension FormatWriter {
  /// The default: blocks are not kept.
  static func keepsBlocks(of tensor: Tensor, _ options: WriteOptions) -> Bool { false }
}

/// The readers and writers of all formats.
package enum FormatRegistry {
  /// The readers, in the order in which they are tried. Formats with a magic number and folders
  /// with characteristic names come before safetensors, JSON, and Hugging Face's folders, which
  /// have none. The last reader accepts all other files and reports what is wrong with them.
  package static var readers: [any FormatReader.Type] {
    [
      GGUFReader.self, NumpyReader.self, NumpyArchiveReader.self, LegacyReader.self,
      TarReader.self, SafetensorsReader.self, ShardedReader.self, DistributedReader.self,
      DeepSpeedReader.self, HubFolderReader.self, BarePickleReader.self, PyTorchZipReader.self,
    ]
  }

  static var writers: [any FormatWriter.Type] {
    [
      PyTorchZipWriter.self, SafetensorsWriter.self, ShardedSafetensorsWriter.self,
      ShardedPyTorchWriter.self, DistributedWriter.self, NumpyWriter.self,
      NumpyArchiveWriter.self, GGUFWriter.self,
    ]
  }

  /// Reads a checkpoint of any format.
  ///
  /// - Throws: `CheckpointError.otherFile` for known files that are not checkpoints; what the
  ///   format's reader throws.
  static func document(of input: CheckpointInput) throws -> CheckpointDocument {
    if case .file(let file, let start) = input,
      let other = try OtherFile.recognize(file, start: start)
    {
      throw CheckpointError.otherFile(file: file.path, other)
    }
    for reader in readers where try reader.recognizes(input) {
      return try reader.document(of: input)
    }
    if case .folder(let folder) = input, let (file, other) = try OtherFile.inFolder(folder) {
      throw CheckpointError.otherFile(file: file, other)
    }
    throw FileError(
      .cannotOpen, "is a folder that holds no checkpoint", path: input.path,
      hint: "name the file that is meant")
  }

  /// The writer of a format.
  ///
  /// - Throws: `CheckpointError.unwritableFormat`.
  static func writer(of format: Checkpoint.Format) throws -> any FormatWriter.Type {
    guard let writer = writers.first(where: { $0.format == format }) else {
      throw CheckpointError.unwritableFormat(format)
    }
    return writer
  }
}

extension Checkpoint.Format {
  /// The formats that can be written.
  public static var writable: [Checkpoint.Format] { FormatRegistry.writers.map { $0.format } }

  /// Whether the format consists of shards and an index.
  public var isSharded: Bool { self == .safetensorsIndex || self == .pytorchIndex }

  /// Whether tensors cannot share elements in the format, so that ``TiePolicy`` applies.
  public var untiesTensors: Bool {
    switch self {
    case .safetensors, .safetensorsIndex, .npy, .npz, .gguf: true
    default: false
    }
  }
}
