internal import CkptPickle
internal import CkptBytes
internal import CkptPlatform
internal import CkptTensors

/// The storages in a pickle that Python's own `pickle` created from tensors:
/// `torch.storage._load_from_bytes(b'…')`, whose bytes are a file in PyTorch's format before 1.6
/// with a single storage.
///
/// Each such call is replaced by the persistent ID that `torch.save` would write.
struct PickledStorages {
  typealias Ref = PickleGraph.Ref

  /// The file that contains the pickle.
  let file: File
  /// The storages by the number of their persistent ID.
  private(set) var storages: [UInt32: Storage] = [:]

  init(file: File) { self.file = file }

  /// Finds all storages, and replaces their calls in the graph.
  mutating func find(in graph: inout PickleGraph) throws {
    let count = graph.nodes.count
    for index in 0..<count {
      let ref = Ref(index: UInt32(index))
      guard let body = graph.body(of: ref),
        case .reduce(let callable, let tuple) = body.construction,
        graph.globalName(callable) == "torch.storage._load_from_bytes"
      else { continue }
      func bad(_ problem: String) -> CheckpointError {
        .badObject(file: file.path, path: graph.path(to: ref), problem)
      }
      guard let argument = graph.items(of: tuple)?.first, body.edits.isEmpty,
        let (file, range) = try bytes(argument, in: graph)
      else { throw bad("the bytes of a pickled storage make no sense") }
      let found: LegacyReader.LoneStorage
      do {
        found = try LegacyReader.storage(in: file, range)
      } catch let error as any Diagnostic where error.kind == .badInput {
        throw bad("a pickled storage cannot be read: \(error.description)")
      }
      let items = [
        graph.addString("storage"), graph.addGlobal(found.module, found.name),
        graph.addString("\(storages.count)"), graph.addString("cpu"), graph.addInt(found.count),
      ]
      let id = graph.addTuple(items)
      graph.replace(ref, with: .persistentID(id))
      storages[ref.index] = Storage(found.source, name: "storage \(storages.count)")
    }
  }

  /// The file range of an object's bytes; in a separate file if they are represented as text.
  private func bytes(_ ref: Ref, in graph: PickleGraph) throws -> (File, Range<Int>)? {
    if case .region(let region)? = NumpyObjects(graph: graph).bytes(ref, byteCount: 0) {
      return (region.file, region.offset..<region.offset + region.byteCount)
    }
    let objects = NumpyObjects(graph: graph)
    let source: ByteSource
    if let text = objects.latin1Text(ref), let region = graph.outside(text) {
      let utf8 = ByteSource.region(region)
      source = .computed(Latin1Bytes(utf8, byteCount: try Latin1Bytes.count(utf8)))
    } else if let held = objects.bytes(ref, byteCount: 0) {
      source = held
    } else {
      return nil
    }
    return (try File.unnamed(holding: source, path: file.path), 0..<source.byteCount)
  }
}
