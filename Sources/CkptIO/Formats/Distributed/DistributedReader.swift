internal import CkptText
internal import CkptPickle
internal import CkptPlatform
internal import CkptStateDicts
internal import CkptBytes
internal import CkptTensors

/// Reads the folder of a PyTorch distributed checkpoint: `.metadata` and the files it names, in
/// which each chunk of a tensor and each object is a separate archive of `torch.save`.
enum DistributedReader: FormatReader {
  static let metadataName = ".metadata"

  static func recognizes(_ input: CheckpointInput) -> Bool {
    guard case .folder(let folder) = input else { return false }
    return folder.contains(metadataName)
  }

  static func document(of input: CheckpointInput) throws -> CheckpointDocument {
    guard case .folder(let folder) = input else {
      throw FileError(.cannotOpen, "is a file, not a folder", path: input.path)
    }
    let (metadata, file) = try metadata(of: folder)
    var archives = DistributedArchives(folder)
    var tree = try NestedObjects(nameCount: metadata.items.count, file: file.path)
    for (name, item) in metadata.items {
      let value: StateDict.Value
      switch item {
      case .bytes:
        value = .object(try archives.object(of: name, metadata))
      case .tensor(let type, let shape, let requiresGrad, let chunks):
        var tensor = try archives.tensor(of: name, type, shape, chunks, metadata)
        tensor.requiresGrad = requiresGrad
        value = .tensor(tensor)
      }
      try tree.add(value, at: metadata.paths[ExactText(name)] ?? [.key(ExactText(name))])
    }
    return try tree.document(
      format: .distributed, path: folder.path, files: [file] + archives.files)
  }
}

extension DistributedReader {
  /// Reads the `.metadata` file of a folder.
  ///
  /// - Throws: `CheckpointError`; `FileError`.
  static func metadata(of folder: Folder) throws -> (DistributedMetadata, File) {
    let file = try folder.open(metadataName)
    do {
      var stream = PickleStream(file, in: 0..<file.size, limit: PyTorchZipReader.pickleLimit)
      return (try DistributedMetadata(stream.next(), file: file.path), file)
    } catch let error as PickleError {
      throw CheckpointError.notACheckpoint(file: file.path, error.description)
    }
  }

  /// A chunk or an object in error messages.
  static func shown(_ index: DistributedMetadata.Index) -> String {
    Text.printable(index.name.text) + (index.offsets.map { " at \($0)" } ?? "")
  }
}

/// The archives in the files of a distributed checkpoint.
private struct DistributedArchives {
  private let folder: Folder
  private var open: ExactDictionary<File> = [:]
  /// The number of bytes of each file that were read as archives. Archives do not overlap, and
  /// reading one thousands of times would take long.
  private var readCounts: ExactDictionary<Int> = [:]

  init(_ folder: Folder) { self.folder = folder }

  var files: [File] { open.values.sorted { $0.path < $1.path } }

  private mutating func file(_ name: String) throws -> File {
    if let known = open[name] { return known }
    let file = try folder.open(name)
    open[name] = file
    return file
  }

  private mutating func document(
    of index: DistributedMetadata.Index, _ metadata: DistributedMetadata
  ) throws -> CheckpointDocument {
    // Objects have no offset; in old files, neither have tensors that are not sharded.
    let plain = DistributedMetadata.Index(name: index.name, offsets: nil)
    guard let position = metadata.positions[index] ?? metadata.positions[plain] else {
      throw CheckpointError.notACheckpoint(
        file: folder.path, "nothing is stored for \(DistributedReader.shown(index))")
    }
    let file = try file(position.file)
    guard position.offset <= file.size, position.byteCount <= file.size - position.offset else {
      throw CheckpointError.notACheckpoint(
        file: file.path,
        "\(DistributedReader.shown(index)) takes bytes \(position.offset) to "
          + "\(position.offset.addingReportingOverflow(position.byteCount).partialValue), and the file has "
          + "\(file.size)")
    }
    let count = readCounts[position.file, default: 0]
    guard position.byteCount <= file.size - count else {
      throw CheckpointError.notACheckpoint(
        file: file.path,
        "several tensors or objects are in one place, such as \(DistributedReader.shown(index))"
      )
    }
    readCounts[position.file] = count + position.byteCount
    return try PyTorchZipReader.document(
      in: file, part: position.offset..<position.offset + position.byteCount)
  }

  /// Reads an object that is stored separately.
  mutating func object(
    of name: String, _ metadata: DistributedMetadata
  ) throws -> OpaqueObject {
    let document = try document(of: .init(name: ExactText(name), offsets: nil), metadata)
    return OpaqueObject(
      summary: "", origin: TensorOrigin(document: document, node: document.graph.root.index))
  }

  /// Assembles a tensor from its chunks.
  mutating func tensor(
    of name: String, _ type: DType, _ shape: [Int], _ chunks: [DistributedMetadata.Chunk],
    _ metadata: DistributedMetadata
  ) throws -> Tensor {
    var parts: [TensorChunk] = []
    do {
      for chunk in chunks {
        let index = DistributedMetadata.Index(name: ExactText(name), offsets: chunk.offsets)
        let stored = try stored(index, type, chunk.sizes, metadata)
        if chunks.count == 1, chunk.sizes == shape {
          return try Tensor(
            storage: stored.storage, dtype: type, shape: shape, strides: stored.strides,
            offset: stored.offset)
        }
        guard stored.storage.source.isRandomAccess else {
          throw CheckpointError.notACheckpoint(
            file: folder.path, "a chunk of \(Text.printable(name)) is compressed")
        }
        parts.append(
          TensorChunk(
            offsets: chunk.offsets, sizes: chunk.sizes, source: try stored.contiguousSource()))
      }
      let bytes = try ChunkedBytes(shape: shape, width: type.byteCount, chunks: parts)
      return try Tensor(
        storage: Storage(.computed(bytes), name: name), dtype: type, shape: shape)
    } catch let error as TensorError {
      throw CheckpointError.badObject(
        file: folder.path, path: ObjectPath.escaped(name), error.description)
    }
  }

  private mutating func stored(
    _ index: DistributedMetadata.Index, _ type: DType, _ sizes: [Int],
    _ metadata: DistributedMetadata
  ) throws -> Tensor {
    let document = try document(of: index, metadata)
    guard let tensor = document.tensors[document.graph.root.index] else {
      throw CheckpointError.notACheckpoint(
        file: folder.path, "what is stored for \(DistributedReader.shown(index)) is no tensor")
    }
    guard tensor.dtype == type, tensor.shape == sizes, !tensor.isMeta, !tensor.isConjugate,
      !tensor.isNegative, tensor.quantization == nil
    else {
      throw CheckpointError.notACheckpoint(
        file: folder.path,
        "\(DistributedReader.shown(index)) is stored as \(tensor.dtype.name) \(tensor.shape), not "
          + "\(type.name) \(sizes)")
    }
    return tensor
  }
}
