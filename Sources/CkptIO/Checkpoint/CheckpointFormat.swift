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
    /// Pickles and storages in a row, as `torch.save` wrote them before 1.6.
    case pytorchLegacy = "pytorch-legacy"
    /// A tar archive, as `torch.save` wrote it before 0.1.10.
    case pytorchTar = "pytorch-tar"
    /// One pickle, as `pickle.dump` writes it.
    case pickle
    /// A safetensors file.
    case safetensors
    /// Safetensors files and their index, as Hugging Face shards a model.
    case safetensorsIndex = "safetensors-index"
    /// Files that `torch.save` writes and their index.
    case pytorchIndex = "pytorch-index"

    /// A folder that `torch.distributed.checkpoint` writes.
    case distributed = "pytorch-distributed"
    /// A folder of DeepSpeed's, of ZeRO stage 1, 2 or 3.
    case deepSpeed = "deepspeed"
    /// One array of numpy's.
    case npy
    /// A zip archive of numpy's arrays.
    case npz
    /// A file of llama.cpp and its kin.
    case gguf

    /// Whether the root is the state dict, whatever is in it.
    public var holdsTensorsAlone: Bool {
      switch self {
      case .safetensors, .safetensorsIndex, .pytorchIndex, .npy, .npz, .gguf, .deepSpeed: true
      default: false
      }
    }
  }
}

/// Reads one format.
///
/// To add a format:
/// 1. Write the parser in a room of its own (`Sources/…Format`), on bytes and `File`s alone, so that it can
///    be tested without a checkpoint around it. It gives names and `Tensor`s whose storages are regions of
///    the file, or computed.
/// 2. Add a case to ``Checkpoint/Format``.
/// 3. Write a type here that conforms to this protocol, and list it in ``FormatRegistry/readers``. What has
///    no pickle becomes a document by ``CheckpointDocument/init(_:format:path:files:metadata:)`` from a
///    `StateDict`: it makes the graph that PyTorch's writer needs, and all commands work on it. What has
///    pickles makes its own graph and uses the memberwise initializer.
///
/// Any input is hostile: nothing is allocated by a number in the file before that was held against the
/// file's size, and nothing recurses.
protocol FormatReader {
  /// Whether `input` is of this format, from its first bytes or from the names in the folder, never from
  /// its own name. The registry's first reader that says yes has it.
  static func recognizes(_ input: CheckpointInput) throws -> Bool

  /// Reads all but the tensors' bytes.
  static func document(of input: CheckpointInput) throws -> CheckpointDocument
}

/// Writes one format.
///
/// To add one, conform to this protocol and list the type in ``FormatRegistry/writers``. A format that holds
/// tensors alone plans from ``Checkpoint/tensorsAlone(_:as:holds:)``, which finds the state dict, deals with
/// ties and with what is no tensor, and reports both; `Tensor.resolvedSource()` gives a tensor's bytes, and
/// `StreamWriter` brings them to the file. An output of several
/// files lists them in the order in which they are to be put in place; the one by which readers find the
/// others comes last.
protocol FormatWriter {
  /// What it writes.
  static var format: Checkpoint.Format { get }

  /// The endings of an output's name that mean this format.
  static var endings: [String] { get }

  /// Whether elements that were read as blocks of a few bits each are written as these blocks.
  static func keepsBlocks(of tensor: Tensor, _ options: WriteOptions) -> Bool

  /// Lays out what is to be written, from sizes alone: no tensor is read.
  static func plan(
    _ checkpoint: Checkpoint, to path: String, _ options: WriteOptions
  ) throws -> OutputPlan
}

extension FormatWriter {
  /// Few formats have any.
  static func keepsBlocks(of tensor: Tensor, _ options: WriteOptions) -> Bool { false }
}

/// The formats.
enum FormatRegistry {
  /// Who is asked, in this order. Formats with a magic number, or folders with a name of their own in them,
  /// come before safetensors, JSON and Hugging Face's folders, which have none; the last one takes, or refuses,
  /// what nobody else knows.
  static var readers: [any FormatReader.Type] {
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

  /// Reads a checkpoint, whatever its format.
  ///
  /// - Throws: `CheckpointError.otherFile` for files that people have in a checkpoint's place.
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

  /// Whether it is shards and their index.
  public var isSharded: Bool { self == .safetensorsIndex || self == .pytorchIndex }

  /// Whether tensors that share elements must be dealt with when it is written, by ``TiePolicy``.
  public var untiesTensors: Bool {
    switch self {
    case .safetensors, .safetensorsIndex, .npy, .npz, .gguf: true
    default: false
    }
  }
}
