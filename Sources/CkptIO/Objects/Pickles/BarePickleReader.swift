internal import CkptPickle
internal import CkptBytes
internal import CkptPlatform
internal import CkptTensors

/// Reads a file that consists of one pickle, as written by `pickle.dump`: a dict of NumPy arrays
/// (detectron2's `.pkl`, Paddle's `.pdparams`) or of tensors.
///
/// Long byte arrays remain in the file until a tensor's elements are needed.
enum BarePickleReader: FormatReader {
  /// The minimum number of bytes that are left in the file.
  private static let threshold = 128
  /// The maximum size in bytes of a pickle, without the data that is left in the file.
  private static let limit = 128 << 20
  /// The maximum number of bytes that are left in the file, do not belong to an array, and are
  /// therefore read.
  private static let strayLimit = 128 << 20

  /// The first opcodes of pickles of protocols 0 and 1 whose object contains others: `(`, `]`, `}`,
  /// `c`.
  private static let textOpcodes: Set<UInt8> = Set("(]}c".utf8)

  /// Whether the file is a pickle. From protocol 2 on it is identified by its first bytes;
  /// otherwise it must be a pickle from the first to the last byte.
  static func recognizes(_ input: CheckpointInput) -> Bool {
    guard case .file(let file, let start) = input, start.count >= 2 else { return false }
    if start[0] == 0x80, (2...5).contains(start[1]) {
      // If the third byte is not an opcode, the file is of another kind.
      return start.count < 3 || PickleStream.isOpcode(start[2])
    }
    guard textOpcodes.contains(start[0]) else { return false }
    var stream = PickleStream(file, in: 0..<file.size, limit: limit)
    guard let graph = try? stream.next(leaving: threshold), stream.offset == file.size else {
      return false
    }
    return graph.body(of: graph.root) != nil
  }

  static func document(of input: CheckpointInput) throws -> CheckpointDocument {
    guard case .file(let file, _) = input else { throw input.isNoFile }
    var stream = PickleStream(file, in: 0..<file.size, limit: limit)
    var graph: PickleGraph
    do {
      graph = try stream.next(leaving: threshold)
    } catch let error as PickleError {
      throw CheckpointError.badPickle(
        file: file.path, of: nil, offset: 0, error.description)
    }
    guard stream.offset == file.size else {
      throw CheckpointError.notACheckpoint(
        file: file.path,
        "\(file.size - stream.offset) bytes stand behind a pickle, which ends at byte \(stream.offset)"
      )
    }
    for index in graph.nodes.indices {
      guard case .persistentID = graph[PickleGraph.Ref(index: UInt32(index))] else { continue }
      throw CheckpointError.badObject(
        file: file.path, path: graph.path(to: PickleGraph.Ref(index: UInt32(index))),
        "a persistent id in a pickle without storages: its tensors' elements are not in the file")
    }
    var inner = PickledStorages(file: file)
    try inner.find(in: &graph)
    try bringInStrays(of: &graph, file)
    graph.seal()
    return try CheckpointDocument(
      graph, StorageTable(inner.storages), format: .pickle, file: file)
  }

  /// Reads data left in the file that is not the elements of a single array, since other code may
  /// use it.
  private static func bringInStrays(of graph: inout PickleGraph, _ file: File) throws {
    guard graph.hasOutsideRuns else { return }
    let objects = NumpyObjects(graph: graph)
    var mentions = [UInt32](repeating: 0, count: graph.nodes.count)
    var elements: Set<PickleGraph.Ref> = []
    for index in graph.nodes.indices {
      let ref = PickleGraph.Ref(index: UInt32(index))
      for part in graph.parts(of: ref) { mentions[Int(part.index)] &+= 1 }
      if let parts = objects.parts(of: ref), objects.numpyType(parts.numpyType) != nil {
        elements.insert(parts.data)
      }
    }
    var own: Set<PickleGraph.Ref> = []
    for data in elements where mentions[Int(data.index)] == 1 {
      let text = objects.latin1Text(data)
      if let text, mentions[Int(text.index)] != 1 { continue }
      own.insert(text ?? data)
    }
    var total = 0
    for index in graph.nodes.indices {
      let ref = PickleGraph.Ref(index: UInt32(index))
      guard let region = graph.outside(ref), !own.contains(ref),
        mentions[index] > 0 || ref == graph.root
      else { continue }
      total += region.byteCount
      guard total <= strayLimit else {
        throw CheckpointError.badObject(
          file: file.path, path: graph.path(to: ref),
          "text and bytes that are no array's elements take more than \(strayLimit) bytes")
      }
      do {
        try graph.bringIn(ref)
      } catch let error as PickleError {
        throw CheckpointError.badPickle(
          file: file.path, of: nil, offset: 0, error.description)
      }
    }
  }
}
