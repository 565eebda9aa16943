internal import CkptText
internal import CkptPlatform
internal import CkptPickle
public import CkptStateDicts
internal import CkptTensors

extension Checkpoint {
  /// Replaces the state dict at the path `at`; all other objects are unchanged.
  ///
  /// Values that were read from this checkpoint remain the same objects; values from other
  /// checkpoints and new tensors are copied to this one. If the state dict, or an object that
  /// contains it, is referenced elsewhere, only `at` changes: it gets its own object.
  ///
  /// - Returns: the objects that were shared and were copied.
  /// - Throws: `CheckpointError` if there is no mapping at `at`, or a module that was saved as an
  ///   object.
  @discardableResult
  public mutating func replaceStateDict(
    at: String, with stateDict: StateDict
  ) throws -> [SeparatedObject] {
    guard document.format != .torchScript else {
      throw CheckpointError.cannotWrite(
        file: path,
        "a TorchScript archive cannot be written, since its code belongs to its weights",
        hint: "\(.extract) writes the state dict alone")
    }
    var ref = try resolve(at)
    guard !isModule(ref) else {
      throw CheckpointError.cannotWrite(
        file: path,
        "\(summary(of: ref)) at \(Text.printable(at)) is a whole module, whose keys follow from its modules",
        hint: "\(.extract) writes its state dict alone")
    }
    guard let old = graph.entries(of: ref) else {
      throw CheckpointError.noMapping(file: path, path: at, what: summary(of: ref))
    }
    var separated: [SeparatedObject] = []
    let steps = ObjectPath(at).steps
    let new = entries(stateDict.elements.map { ($0.key, add($0.value)) }, like: old)
    if !isSame(old, new) {
      let own = try separate(steps)
      ref = own.ref
      if let shared = own.separated { separated.append(shared) }
      guard graph.setEntries(of: ref, to: new) else {
        throw CheckpointError.cannotEdit(
          file: path, path: at, what: "cannot be changed", holder: summary(of: ref))
      }
    }
    if let metadata = stateDict.metadata {
      let shared = try replaceMetadata(of: ref, steps, with: metadata)
      // If the state dict was shared, so was its metadata.
      if separated.isEmpty { separated = shared }
    }
    return separated
  }

  private mutating func replaceMetadata(
    of ref: PickleGraph.Ref, _ steps: [String], with metadata: [StateDict.ModuleMetadata]
  ) throws -> [SeparatedObject] {
    guard let known = self.metadata(of: ref) else {
      if graph.className(of: ref) == "collections.OrderedDict" { addMetadata(metadata, to: ref) }
      return []
    }
    // Metadata that is not a mapping is not PyTorch's, and is unchanged.
    guard let old = graph.entries(of: known) else { return [] }
    let new = entries(metadata.map { ($0.module, add($0)) }, like: old)
    guard !isSame(old, new) else { return [] }
    var own: (ref: PickleGraph.Ref, separated: SeparatedObject?) = (known, nil)
    if graph.child("_metadata", of: ref) == known { own = try separate(steps + ["_metadata"]) }
    guard graph.setEntries(of: own.ref, to: new) else {
      throw CheckpointError.cannotEdit(
        file: path, path: ObjectPath(steps: steps).written, what: "cannot be changed",
        holder: summary(of: own.ref))
    }
    return own.separated.map { [$0] } ?? []
  }

  /// The entries with the mapping's existing keys where it has them, so that a str of Python 2 is
  /// kept.
  private mutating func entries(
    _ new: [(String, PickleGraph.Ref)], like old: [PickleGraph.Entry]
  ) -> [PickleGraph.Entry] {
    var keys: [[UInt8]: PickleGraph.Ref] = [:]
    for (key, _) in old {
      switch graph[key] {
      case .string(let run), .byteString(let run): keys[Array(graph.bytes(run))] = key
      default: break
      }
    }
    return new.map { key, value in (keys[Array(key.utf8)] ?? graph.addString(key), value) }
  }

  private func isSame(_ old: [PickleGraph.Entry], _ new: [PickleGraph.Entry]) -> Bool {
    old.count == new.count && zip(old, new).allSatisfy { $0 == $1 }
  }

  /// Adds PyTorch's metadata of a module; for a new one, only its version.
  private mutating func add(_ metadata: StateDict.ModuleMetadata) -> PickleGraph.Ref {
    guard metadata.value.origin == nil, let version = metadata.version else {
      return add(.object(metadata.value))
    }
    let entry = PickleGraph.Edit.setItem(
      key: graph.addString("version"), value: graph.addInt(version))
    return graph.addObject(.dict, edits: [entry])
  }

  private mutating func addMetadata(
    _ metadata: [StateDict.ModuleMetadata], to ref: PickleGraph.Ref
  ) {
    let entries = metadata.map {
      PickleGraph.Edit.setItem(key: graph.addString($0.module), value: add($0))
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
      // An object that was added to another copy of a checkpoint is not in that checkpoint's
      // document.
      if from.graph.nodes.indices.contains(Int(ref.index)) { return copy(ref, from: from) }
    }
    // The objects that PyTorch would save for a tensor are created when an archive is written
    // (`spelledOut()`). Until then there is a None, which needs a twentieth of the memory.
    let ref = graph.add(.none)
    if case .tensor(let tensor) = value { addedTensors[ref.index] = tensor }
    return ref
  }

  /// Finds or adds a class or function by name, so that all references are to one object, as in
  /// Python.
  mutating func global(_ module: String, _ name: String) -> PickleGraph.Ref {
    if globals == nil {
      var found: ExactDictionary<PickleGraph.Ref> = [:]
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

  /// Copies an object of another document and all objects it refers to; objects that were copied
  /// before are reused.
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

  /// Copies an object of another checkpoint in its current state, and all objects it refers to.
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
    // All objects get a number before their contents are copied, so that cycles need no special
    // case.
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
