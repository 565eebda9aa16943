internal import PickleFormat
public import StateDicts
internal import TensorStore

extension Checkpoint {
  /// Puts a state dict in the place of the one at `at`; everything else stays as it is.
  ///
  /// Values that were read from this checkpoint are the same objects as before; values from other
  /// checkpoints and new tensors are copied in.
  /// - Throws: `CheckpointError` if there is no mapping at `at`.
  public mutating func replaceStateDict(at: String, with stateDict: StateDict) throws {
    guard document.format != .torchScript else {
      throw CheckpointError.cannotWrite(
        file: path,
        "a TorchScript archive cannot be written, since its code belongs to its weights",
        hint: "--extract writes the state dict alone")
    }
    let ref = try resolve(at)
    guard let old = graph.entries(of: ref), let body = graph.body(of: ref) else {
      throw CheckpointError.noMapping(file: path, path: at, what: summary(of: ref))
    }
    let metadata = metadata(of: ref)
    setEntries(of: ref, body, old, stateDict.values.map { ($0.key, add($0.value)) })
    guard let new = stateDict.metadata else { return }
    if let metadata, let body = graph.body(of: metadata) {
      let entries = new.map { ($0.module, add(.object($0.value))) }
      setEntries(of: metadata, body, graph.entries(of: metadata) ?? [], entries)
    } else if case .reduce = body.construction {
      addMetadata(new, to: ref)
    }
  }

  private mutating func setEntries(
    of ref: PickleGraph.Ref, _ body: PickleGraph.Body,
    _ old: [(key: PickleGraph.Ref, value: PickleGraph.Ref)], _ new: [(String, PickleGraph.Ref)]
  ) {
    var keys: [[UInt8]: PickleGraph.Ref] = [:]
    for (key, _) in old {
      if case .string(let run) = graph[key] { keys[Array(graph.bytes(run))] = key }
    }
    var body = body
    body.edits.removeAll { if case .setItem = $0 { true } else { false } }
    let edits = new.map { key, value in
      PickleGraph.Edit.setItem(key: keys[Array(key.utf8)] ?? graph.addString(key), value: value)
    }
    body.edits.insert(contentsOf: edits, at: 0)
    graph.replaceBody(of: ref, with: body)
  }

  private mutating func addMetadata(
    _ metadata: [StateDict.ModuleMetadata], to ref: PickleGraph.Ref
  ) {
    let entries = metadata.map {
      PickleGraph.Edit.setItem(key: graph.addString($0.module), value: add(.object($0.value)))
    }
    let cls = global("collections", "OrderedDict")
    let nothing = graph.addTuple([])
    let ordered = graph.addObject(.reduce(callable: cls, arguments: nothing), edits: entries)
    let state = graph.addObject(
      .dict, edits: [.setItem(key: graph.addString("_metadata"), value: ordered)])
    guard var body = graph.body(of: ref) else { return }
    body.edits.append(.build(state))
    graph.replaceBody(of: ref, with: body)
  }

  // MARK: - Objects that are new here

  mutating func add(_ value: StateDict.Value) -> PickleGraph.Ref {
    if let origin = value.origin, let from = origin.document as? CheckpointDocument {
      let ref = PickleGraph.Ref(index: origin.node)
      if from === document, graph.nodes.indices.contains(Int(ref.index)) { return ref }
      // An object that was added to another copy of a checkpoint is not in its document.
      if from.graph.nodes.indices.contains(Int(ref.index)) { return copy(ref, from: from) }
    }
    // What PyTorch would save for a tensor is made when an archive is written (`spelledOut()`); until
    // then None stands there, in a twentieth of the memory.
    let ref = graph.add(.none)
    if case .tensor(let tensor) = value { addedTensors[ref.index] = tensor }
    return ref
  }

  /// Finds a class or function by name, so that all mentions of it are one object, as in Python.
  mutating func global(_ module: String, _ name: String) -> PickleGraph.Ref {
    if globals == nil {
      var found: [String: PickleGraph.Ref] = [:]
      for index in graph.nodes.indices {
        let ref = PickleGraph.Ref(index: UInt32(index))
        if let known = graph.global(ref) { found["\(known.module)\n\(known.name)"] = ref }
      }
      globals = found
    }
    if let known = globals?["\(module)\n\(name)"] { return known }
    let ref = graph.addGlobal(module, name)
    globals?["\(module)\n\(name)"] = ref
    return ref
  }

  // MARK: - Objects of other checkpoints

  /// Copies an object and all that it leads to; what was copied before is not copied again.
  private mutating func copy(
    _ start: PickleGraph.Ref, from other: CheckpointDocument
  ) -> PickleGraph.Ref {
    let identity = ObjectIdentifier(other)
    if imported[identity] == nil { importedDocuments.append(other) }
    var copies = imported[identity] ?? [:]
    defer { imported[identity] = copies }
    return copy(
      start, of: other.graph, &copies, storage: { other.storages[$0] },
      tensor: { other.tensors[$0.index] })
  }

  /// Copies an object of another checkpoint as it is now, and all that it leads to.
  mutating func copy(_ start: PickleGraph.Ref, from other: Checkpoint) -> PickleGraph.Ref {
    var copies: [UInt32: PickleGraph.Ref] = [:]
    return copy(
      start, of: other.graph, &copies, storage: { other.storage(of: $0) },
      tensor: { other.tensor(of: $0) })
  }

  private mutating func copy(
    _ start: PickleGraph.Ref, of other: PickleGraph, _ copies: inout [UInt32: PickleGraph.Ref],
    storage: (PickleGraph.Ref) -> Storage?, tensor: (PickleGraph.Ref) -> Tensor?
  ) -> PickleGraph.Ref {
    var found: [PickleGraph.Ref] = []
    var open = [start]
    // First a number for everything, then the content, so that cycles need no care.
    while let ref = open.popLast() {
      guard copies[ref.index] == nil else { continue }
      if let name = other.global(ref) {
        copies[ref.index] = global(name.module, name.name)
        continue
      }
      copies[ref.index] = graph.add(.none)
      found.append(ref)
      open += other.parts(of: ref)
    }
    for ref in found {
      guard let new = copies[ref.index] else { continue }
      graph.copy(ref, of: other, to: new) { copies[$0.index] ?? new }
      if let storage = storage(ref) { addedStorages[new.index] = storage }
      if let tensor = tensor(ref) { addedTensors[new.index] = tensor }
    }
    return copies[start.index] ?? start
  }
}
