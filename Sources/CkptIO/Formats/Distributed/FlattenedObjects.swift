internal import CkptText
internal import CkptPickle
internal import CkptPlatform

/// The parts of a nested state dict as a distributed checkpoint stores them, in the order of
/// `flatten_state_dict` in torch.distributed.checkpoint: mappings are flattened, and lists are if
/// they contain a tensor or a mapping.
struct FlattenedObjects {
  typealias Ref = PickleGraph.Ref
  typealias Step = DistributedMetadata.Step

  /// The parts, each with its name, its path, and the object.
  private(set) var parts: [(name: String, path: [Step], ref: Ref)] = []

  private let graph: PickleGraph
  private let isTensor: (Ref) -> Bool
  private let file: String

  private static let depthLimit = 100
  private static let mappings: Set<String> = [
    "collections.OrderedDict", "collections.defaultdict", "collections.Counter",
    "collections.UserDict",
  ]

  /// Flattens the root of a graph.
  ///
  /// - Throws: `CheckpointError` if the root is not a mapping, a key is neither a string nor a
  ///   number, two parts have the same name, or the mappings are nested too deeply or contain
  ///   themselves.
  init(_ graph: PickleGraph, file: String, isTensor: @escaping (Ref) -> Bool) throws {
    self.graph = graph
    self.isTensor = isTensor
    self.file = file
    guard isMapping(graph.root) else {
      throw CheckpointError.cannotWrite(
        file: file, "a distributed checkpoint is a dict, and the root is none",
        hint: "\(.path(nil)) and \(.extract) name a dict in it")
    }
    var names: Set<ExactText> = []
    var open: [(path: [Step], ref: Ref)] = [([], graph.root)]
    var steps = 0
    while let (path, ref) = open.popLast() {
      // Dicts that contain one dict many times would otherwise take exponential time.
      steps += 1
      guard steps <= 4 * graph.nodes.count + 1000 else {
        throw CheckpointError.cannotWrite(
          file: file, "dicts and lists are shared too often to be taken apart", hint: nil)
      }
      guard path.count <= Self.depthLimit else {
        throw CheckpointError.cannotWrite(
          file: file, "dicts and lists nest deeper than \(Self.depthLimit) levels", hint: nil)
      }
      if !isTensor(ref), isMapping(ref) {
        for (key, value) in (graph.entries(of: ref) ?? []).reversed() {
          guard let text = graph.text(key) ?? graph.decimal(key) else {
            throw CheckpointError.cannotWrite(
              file: file, "a key of a dict is neither text nor a number (\(Self.name(path)))",
              hint: nil)
          }
          open.append((path + [.key(ExactText(text))], value))
        }
      } else if let items = list(ref), !isTerminal(ref) {
        for (index, item) in items.enumerated().reversed() {
          open.append((path + [.index(index)], item))
        }
      } else {
        let name = Self.name(path)
        guard names.insert(ExactText(name)).inserted else {
          throw CheckpointError.cannotWrite(
            file: file, "two values would be called \(Text.quoted(name))",
            hint: "rename-keys gives one another name")
        }
        parts.append((name, path, ref))
      }
    }
  }

  private static func name(_ path: [Step]) -> String {
    path.map { step in
      switch step {
      case .key(let key): key.text
      case .index(let index): "\(index)"
      }
    }.joined(separator: ".")
  }

  private func isMapping(_ ref: Ref) -> Bool {
    guard let body = graph.body(of: ref) else { return false }
    if case .dict = body.construction { return true }
    return graph.className(of: ref).map(Self.mappings.contains) == true
      && graph.entries(of: ref) != nil
  }

  private func list(_ ref: Ref) -> [Ref]? {
    guard case .list? = graph.body(of: ref)?.construction else { return nil }
    return graph.sequence(ref)
  }

  /// Whether a list is stored as one object, because neither it nor a list inside contains a tensor
  /// or a mapping.
  private func isTerminal(_ ref: Ref) -> Bool {
    var seen: Set<Ref> = [ref]
    var open = [ref]
    while let next = open.popLast() {
      for item in list(next) ?? [] {
        if isTensor(item) || isMapping(item) { return false }
        if list(item) != nil, seen.insert(item).inserted { open.append(item) }
      }
    }
    return true
  }
}
