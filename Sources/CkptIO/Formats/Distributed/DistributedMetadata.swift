internal import CkptText
internal import CkptPickle
internal import CkptPlatform
internal import CkptTensors

/// The contents of the `.metadata` file of a distributed checkpoint: the pickle of a
/// `torch.distributed.checkpoint.metadata.Metadata`, read as data.
struct DistributedMetadata {
  typealias Ref = PickleGraph.Ref

  /// A part of a tensor.
  struct Chunk {
    let offsets: [Int]
    let sizes: [Int]
  }

  /// The object with a given name.
  enum Item {
    case tensor(DType, shape: [Int], requiresGrad: Bool, chunks: [Chunk])
    /// An object other than a tensor.
    case bytes
  }

  /// A step of the path of a value in the nested state dict.
  enum Step: Hashable {
    case key(ExactText)
    case index(Int)
  }

  /// The file and byte range of the archive of a chunk or object.
  struct Place {
    let file: String
    let offset: Int
    let byteCount: Int
  }

  /// The key under which an object, or a chunk of a tensor, is stored.
  struct Index: Hashable {
    let name: ExactText
    let offsets: [Int]?
  }

  /// The objects with their names, in order.
  private(set) var items: [(name: String, item: Item)] = []
  /// The path of each name, if the state dict is nested.
  private(set) var paths: [ExactText: [Step]] = [:]
  private(set) var positions: [Index: Place] = [:]

  private let graph: PickleGraph
  private let file: String

  init(_ graph: PickleGraph, file: String) throws {
    self.graph = graph
    self.file = file
    guard Self.isObject("metadata.Metadata", graph.root, in: graph) else {
      throw bad("is no metadata of a distributed checkpoint")
    }
    let attributes = attributes(of: graph.root)
    guard let names = attributes["state_dict_metadata"], let entries = graph.entries(of: names),
      let storage = attributes["storage_data"], let stored = graph.entries(of: storage)
    else { throw bad("lacks state_dict_metadata or storage_data") }
    var seen: Set<ExactText> = []
    for (key, value) in entries {
      guard let name = graph.text(key), seen.insert(ExactText(name)).inserted else {
        throw bad("a name that is no text")
      }
      items.append((name, try item(value, name)))
    }
    if let planned = attributes["planner_data"], let entries = graph.entries(of: planned) {
      for (key, value) in entries {
        guard let name = graph.text(key), let path = path(value) else {
          throw bad("the path of a name makes no sense")
        }
        paths[ExactText(name)] = path
      }
    }
    for (key, value) in stored { try addPlace(key, value) }
  }

  private func bad(_ problem: String) -> CheckpointError {
    .notACheckpoint(file: file, problem)
  }

  private static func isObject(_ name: String, _ ref: Ref, in graph: PickleGraph) -> Bool {
    graph.className(of: ref)?.hasSuffix("." + name) == true
  }

  private func attributes(of ref: Ref) -> [String: Ref] {
    var result: [String: Ref] = [:]
    for (key, value) in graph.attributes(of: ref) {
      if let name = graph.text(key) { result[name] = value }
    }
    return result
  }

  /// The sizes of a `torch.Size`.
  private func sizes(_ ref: Ref?) -> [Int]? {
    guard let ref else { return nil }
    if let plain = graph.ints(ref) { return plain }
    guard graph.className(of: ref) == "torch.Size",
      case .reduce(_, let arguments)? = graph.body(of: ref)?.construction,
      let inner = graph.items(of: arguments), inner.count == 1, let only = inner.first
    else { return nil }
    return graph.ints(only)
  }

  private func item(_ ref: Ref, _ name: String) throws -> Item {
    let shown = Text.printable(name)
    if Self.isObject("metadata.BytesStorageMetadata", ref, in: graph) { return .bytes }
    guard Self.isObject("metadata.TensorStorageMetadata", ref, in: graph) else {
      throw bad("\(shown) is neither a tensor nor an object")
    }
    let attributes = attributes(of: ref)
    guard let properties = attributes["properties"], let shape = sizes(attributes["size"]),
      let list = attributes["chunks"], let chunks = graph.sequence(list),
      let (type, requiresGrad) = self.properties(properties)
    else { throw bad("the entry of \(shown) makes no sense") }
    return .tensor(
      type, shape: shape, requiresGrad: requiresGrad,
      chunks: try chunks.map { chunk in
        let attributes = self.attributes(of: chunk)
        guard let offsets = sizes(attributes["offsets"]), let own = sizes(attributes["sizes"])
        else { throw bad("a chunk of \(shown) makes no sense") }
        return Chunk(offsets: offsets, sizes: own)
      })
  }

  /// The dtype and `requires_grad` of a `TensorProperties`, whose state is a tuple that begins with
  /// them.
  private func properties(_ ref: Ref) -> (DType, Bool)? {
    for edit in graph.body(of: ref)?.edits ?? [] {
      guard case .build(let state) = edit, let items = graph.items(of: state).map(Array.init),
        items.count >= 3, let dtype = graph.global(items[0]), dtype.module == "torch",
        let type = DType(name: dtype.name)
      else { continue }
      return (type, graph.bool(items[2]) ?? false)
    }
    return nil
  }

  private func path(_ ref: Ref) -> [Step]? {
    guard let items = graph.items(of: ref), !items.isEmpty else { return nil }
    var steps: [Step] = []
    for item in items {
      if let text = graph.text(item) {
        steps.append(.key(ExactText(text)))
      } else if let index = graph.int(item), index >= 0 {
        steps.append(.index(index))
      } else {
        return nil
      }
    }
    return steps
  }

  private mutating func addPlace(_ key: Ref, _ value: Ref) throws {
    let index = attributes(of: key)
    let info = attributes(of: value)
    guard let name = index["fqn"].flatMap(graph.text), let file = info["relative_path"],
      let path = graph.text(file), let offset = info["offset"].flatMap(graph.int),
      let count = info["length"].flatMap(graph.int), offset >= 0, count >= 0
    else { throw bad("an entry of storage_data makes no sense") }
    if let extensions = info["transform_descriptors"], graph.sequence(extensions)?.isEmpty == false
    {
      throw bad(
        "\(Text.printable(name)) went through an extension of the writer, such as compression")
    }
    positions[Index(name: ExactText(name), offsets: sizes(index["offset"]))] = Place(
      file: path, offset: offset, byteCount: count)
  }
}
