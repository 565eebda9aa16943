internal import CkptIO
internal import CkptPickle
internal import CkptTensors

/// Removes lost tensors from a graph of objects.
///
/// An entry of a dict is removed, an item of a list or tuple becomes None, and an object that is
/// constructed from a lost tensor is lost as a whole.
struct LossRemoval {
  typealias Ref = PickleGraph.Ref

  private var graph: PickleGraph
  private let tensors: TensorTable
  /// For each lost object, the object that is the cause.
  private(set) var causes: [UInt32: UInt32] = [:]
  /// The objects that can be reached from the root.
  private var live: [Ref] = []
  /// For each object, those that are constructed from it.
  private var dependents: [UInt32: [UInt32]] = [:]
  /// The containers from which objects are constructed.
  private var arguments: Set<UInt32> = []
  /// The tuples with a tensor's storage, offset, shape, and strides.
  private var tensorArguments: Set<UInt32> = []

  /// Determines which objects are lost.
  ///
  /// - Parameters:
  ///   - lost: the numbers of lost tensors, and of the persistent IDs of incomplete storages.
  /// - Throws: `PickleError` for an invalid graph.
  init(_ graph: PickleGraph, tensors: TensorTable, lost: [UInt32]) throws {
    self.graph = graph
    self.tensors = tensors
    var live: [Ref] = []
    try graph.walk(from: graph.root) { ref in
      live.append(ref)
      return true
    }
    self.live = live
    findArguments()
    for ref in live { addDependencies(of: ref) }
    var open = lost
    for number in lost { causes[number] = number }
    while let number = open.popLast() {
      for dependent in dependents[number] ?? [] where causes[dependent] == nil {
        causes[dependent] = causes[number]
        open.append(dependent)
      }
    }
    dependents = [:]
  }

  private static func parts(_ construction: PickleGraph.Construction) -> [Ref] {
    switch construction {
    case .list, .dict, .set: []
    case .frozenSet(let items): [items]
    case .reduce(let callable, let arguments): [callable, arguments]
    case .newObject(let cls, let arguments): [cls, arguments]
    case .newObjectWithKeywords(let cls, let arguments, let keywords): [cls, arguments, keywords]
    }
  }

  private static func parts(_ edit: PickleGraph.Edit) -> [Ref] {
    switch edit {
    case .setItem(let key, let value): [key, value]
    case .append(let item), .add(let item), .build(let item), .call(let item): [item]
    }
  }

  /// Finds the tuples, lists, and dicts from which objects are constructed, and tuples that are an
  /// object's state.
  private mutating func findArguments() {
    var open: [Ref] = []
    for ref in live {
      guard let body = graph.body(of: ref) else { continue }
      open += Self.parts(body.construction)
      if tensors[ref.index] != nil, case .reduce(_, let tuple) = body.construction {
        tensorArguments.insert(tuple.index)
        // `_rebuild_from_type_v2` has the arguments of the tensor's call as its third one.
        if let third = graph.items(of: tuple)?.dropFirst(2).first {
          tensorArguments.insert(third.index)
        }
      }
      for case .build(let state) in body.edits where graph.items(of: state) != nil {
        open.append(state)
      }
    }
    while let ref = open.popLast() {
      if let items = graph.items(of: ref) {
        if arguments.insert(ref.index).inserted { open += items }
        continue
      }
      guard let body = graph.body(of: ref) else { continue }
      switch body.construction {
      case .list, .dict, .set:
        if arguments.insert(ref.index).inserted { open += body.edits.flatMap(Self.parts) }
      default: break
      }
    }
  }

  private mutating func addDependencies(of ref: Ref) {
    func add(_ parts: some Sequence<Ref>, to dependents: inout [UInt32: [UInt32]]) {
      for part in parts { dependents[part.index, default: []].append(ref.index) }
    }
    let isArgument = arguments.contains(ref.index)
    if let items = graph.items(of: ref) {
      guard isArgument else { return }
      // A tensor is judged by its own elements rather than by the whole storage.
      let isTensors = tensorArguments.contains(ref.index)
      return add(items.filter { !isTensors || !isStorage($0) }, to: &dependents)
    }
    guard let body = graph.body(of: ref) else { return }
    add(Self.parts(body.construction), to: &dependents)
    for edit in body.edits {
      switch edit {
      case .call: add(Self.parts(edit), to: &dependents)
      case .build(let state):
        if graph.items(of: state) != nil { add([state], to: &dependents) }
      case .setItem, .append, .add: if isArgument { add(Self.parts(edit), to: &dependents) }
      }
    }
  }

  private func isStorage(_ ref: Ref) -> Bool {
    if case .persistentID = graph[ref] { true } else { false }
  }

  /// Whether an object is lost.
  func isLost(_ ref: Ref) -> Bool { causes[ref.index] != nil }

  /// The outermost lost objects, in the order of Python's pickler, each with its cause.
  ///
  /// - Throws: `PickleError` for an invalid graph.
  func outermost() throws -> [(ref: Ref, cause: Ref)] {
    var found: [(Ref, Ref)] = []
    try graph.walk(from: graph.root) { ref in
      if let cause = causes[ref.index] {
        found.append((ref, Ref(index: cause)))
        return false
      }
      return tensors[ref.index] == nil
    }
    return found
  }

  /// The graph without the lost objects and all others that cannot be reached from the root; nil if
  /// the root is lost.
  ///
  /// - Throws: `PickleError` for an invalid graph.
  consuming func remaining() throws -> PickleGraph? {
    guard !isLost(graph.root) else { return nil }
    let nothing = graph.add(.none)
    for ref in live where !isLost(ref) {
      if let items = graph.items(of: ref) {
        // A call whose arguments are incomplete is lost itself, unless its tensor is complete.
        guard !arguments.contains(ref.index), items.contains(where: isLost) else { continue }
        let kept = items.map { isLost($0) ? nothing : $0 }
        let copy = graph.addTuple(kept)
        graph.replace(ref, with: graph[copy])
        continue
      }
      guard var body = graph.body(of: ref),
        body.edits.contains(where: { Self.parts($0).contains(where: isLost) })
      else { continue }
      body.edits = body.edits.compactMap { edit in
        guard Self.parts(edit).contains(where: isLost) else { return edit }
        if case .append = edit { return .append(nothing) }
        return nil
      }
      graph.replaceBody(of: ref, with: body)
    }
    var isLive = [Bool](repeating: false, count: graph.nodes.count)
    try graph.walk(from: graph.root) { ref in
      isLive[Int(ref.index)] = true
      return true
    }
    for index in isLive.indices where !isLive[index] {
      graph.replace(Ref(index: UInt32(index)), with: .none)
    }
    graph.seal()
    return graph
  }
}
