internal import PickleFormat
public import Platform
public import StateDicts
internal import TensorStore

/// A checkpoint: a graph of objects, the storages that its tensors look into, and state dicts in it.
///
/// A value: a copy can be edited without the original noticing. Reading one reads the pickle; the
/// tensors' bytes stay in the file until they are asked for or written.
///
/// ```swift
/// var checkpoint = try Checkpoint("moco.pth")
/// let backbone = try checkpoint.stateDict(at: "state_dict").filter(exclude: "fc")
/// try Checkpoint(backbone).write(to: "backbone.pt")
/// ```
public struct Checkpoint: Sendable {
  let document: CheckpointDocument
  var graph: PickleGraph
  /// Storages of persistent ids that were added since reading.
  var addedStorages: [UInt32: Storage] = [:]
  /// Tensors that were added since reading, by number.
  var addedTensors: TensorTable = [:]
  /// What was copied from other checkpoints: the copy by document and number there.
  var imported: [ObjectIdentifier: [UInt32: PickleGraph.Ref]] = [:]
  /// Classes and functions by name, once somebody has asked for one.
  var globals: [String: PickleGraph.Ref]?
  /// Whether only a part of what was read is left, so that records beside the pickle are left out.
  var isExtract = false
  /// Keeps documents alive whose identity `imported` relies on.
  var importedDocuments: [CheckpointDocument] = []

  /// Opens the checkpoint at `path`, a file or a folder, whatever its format; nothing that its pickle
  /// names is imported or run.
  ///
  /// - Throws: `FileError`, `ZipError`, or `CheckpointError`, each saying what is wrong and where.
  public init(_ path: String) throws {
    self.init(document: try FormatRegistry.document(of: CheckpointInput(path)))
  }

  /// Opens the checkpoint in `file`.
  public init(_ file: File) throws {
    self.init(document: try FormatRegistry.document(of: CheckpointInput(file)))
  }

  /// A checkpoint whose root is the state dict.
  ///
  /// Objects that came from one checkpoint stay shared as they were there.
  public init(_ stateDict: StateDict) throws {
    self.init(document: CheckpointDocument())
    if stateDict.metadata != nil {
      let cls = graph.addGlobal("collections", "OrderedDict")
      let nothing = graph.addTuple([])
      graph.root = graph.addObject(.reduce(callable: cls, arguments: nothing))
    }
    try replaceStateDict(at: "/", with: stateDict)
  }

  private init(document: CheckpointDocument) {
    self.document = document
    graph = document.graph
  }

  /// What the file or folder was found to be.
  public var format: Format { document.format }

  /// The path of the file or folder; empty for a checkpoint made here.
  public var path: String { document.path }

  /// The open files that it was read from.
  public var files: [File] { document.files }

  /// What the format holds beside the objects, in its order, such as safetensors' `__metadata__`; without the names of
  /// tied tensors that are recorded there.
  public var metadata: [(key: String, value: String)] {
    document.metadata.filter { !document.recordedTies.contains($0.key) }
  }

  /// The storage of a persistent id.
  func storage(of id: PickleGraph.Ref) -> Storage? {
    document.storages[id] ?? addedStorages[id.index]
  }

  /// The plain tensor that an object is; nil if it is none.
  func tensor(of ref: PickleGraph.Ref) -> Tensor? {
    document.tensors[ref.index] ?? addedTensors[ref.index]
  }

  // MARK: - State dicts

  /// Where the state dict is, as `at` takes it.
  ///
  /// That is the root, if it is a mapping that holds tensors and none of its children is a state dict;
  /// else the one child that is.
  /// - Throws: `CheckpointError.unclear` with the candidates.
  public func stateDictPath() throws -> String {
    if document.format == .torchScript || document.format.holdsTensorsAlone { return "/" }
    if isModule(graph.root) { return "/" }
    let children = withTensors(candidates(below: graph.root))
    if children.isEmpty, tensorCount(graph.root) > 0 { return "/" }
    if children.count == 1, let only = children.first {
      return ObjectPath(steps: [only.step]).written
    }
    var found: [CheckpointError.Candidate] = children.map {
      .init(path: ObjectPath(steps: [$0.step]).written, tensorCount: $0.count)
    }
    if found.isEmpty { found = deeperCandidates() }
    throw CheckpointError.unclear(file: path, candidates: found)
  }

  /// How many tensors a mapping holds itself.
  private func tensorCount(_ ref: PickleGraph.Ref) -> Int {
    graph.entries(of: ref)?.count { tensor(of: $0.value) != nil } ?? 0
  }

  private func candidates(
    below ref: PickleGraph.Ref
  ) -> [(step: String, ref: PickleGraph.Ref, count: Int)] {
    if let entries = graph.entries(of: ref) {
      return entries.compactMap { key, value in
        let count = stateDictCount(value)
        return count > 0 ? (graph.step(for: key), value, count) : nil
      }
    }
    return graph.children(of: ref).compactMap { step, value in
      let count = stateDictCount(value)
      return count > 0 ? (step, value, count) : nil
    }
  }

  /// How many tensors an object has as a state dict: those under strings in a mapping, those of a module that
  /// was saved whole. 0 for what is neither.
  private func stateDictCount(_ ref: PickleGraph.Ref) -> Int {
    if isModule(ref) {
      // One that cannot be looked into is meant all the same, and is refused when it is read.
      return (try? moduleStateDict(ref, at: "/"))?.stateDict.tensors.count ?? 1
    }
    return (graph.entries(of: ref) ?? []).count {
      graph.text($0.key) != nil && tensor(of: $0.value) != nil
    }
  }

  /// The candidates that hold tensors of PyTorch's, if those or the root hold any; else those of arrays alone, since
  /// beside a model arrays are statistics or states of random numbers.
  private func withTensors(
    _ children: [(step: String, ref: PickleGraph.Ref, count: Int)]
  ) -> [(step: String, ref: PickleGraph.Ref, count: Int)] {
    func holdsTensors(_ ref: PickleGraph.Ref) -> Bool {
      graph.entries(of: ref)?.contains { tensor(of: $0.value) != nil && !isArray($0.value) } == true
    }
    let ofTensors = children.filter { holdsTensors($0.ref) }
    return ofTensors.isEmpty && !holdsTensors(graph.root) ? children : ofTensors
  }

  /// Whether an object is one of numpy's arrays.
  func isArray(_ ref: PickleGraph.Ref) -> Bool {
    guard case .reduce(let callable, _) = graph.body(of: ref)?.construction,
      let (module, _) = graph.nameBytes(callable)
    else { return false }
    return graph.bytes(module).starts(with: "numpy.".utf8)
  }

  /// State dicts further in, for the hint.
  private func deeperCandidates() -> [CheckpointError.Candidate] {
    var found: [CheckpointError.Candidate] = []
    var seen: Set<PickleGraph.Ref> = []
    var level: [([String], PickleGraph.Ref)] = [([], graph.root)]
    for _ in 0..<5 {
      var next: [([String], PickleGraph.Ref)] = []
      for (steps, ref) in level where seen.insert(ref).inserted && seen.count < 100_000 {
        for (step, child) in graph.children(of: ref) {
          let path = steps + [step]
          let count = stateDictCount(child)
          if count > 0 {
            found.append(.init(path: ObjectPath(steps: path).written, tensorCount: count))
          }
          if !isModule(child) { next.append((path, child)) }
        }
      }
      level = next
    }
    return found
  }

  /// The object that a path leads to.
  func resolve(_ written: String) throws -> PickleGraph.Ref {
    var ref = graph.root
    var done: [String] = []
    for step in ObjectPath(written).steps {
      guard let next = graph.child(step, of: ref) else {
        throw CheckpointError.noSuchObject(
          file: path, path: ObjectPath(steps: done).written, step: step,
          there: graph.children(of: ref).prefix(12).map { ObjectPath.escaped($0.step) })
      }
      ref = next
      done.append(step)
    }
    return ref
  }

  /// The state dict at a path; without one, the one that ``stateDictPath()`` finds.
  ///
  /// `torch.load(path)['model']` is `try Checkpoint(path).stateDict(at: "model")`.
  /// - Parameter at: keys joined by `/`; `/` is the root.
  /// - Throws: `CheckpointError` if there is none, or if one of its keys is no string.
  public func stateDict(at: String? = nil) throws -> StateDict {
    let written = try at ?? stateDictPath()
    let ref = try resolve(written)
    if isModule(ref) { return try moduleStateDict(ref, at: written).stateDict }
    guard let entries = graph.entries(of: ref) else {
      throw CheckpointError.noMapping(file: path, path: written, what: summary(of: ref))
    }
    var result = StateDict()
    for (key, value) in entries {
      guard let text = graph.text(key) else {
        throw CheckpointError.keyIsNoString(file: path, path: written, key: summary(of: key))
      }
      result.setValue(self.value(value), for: text)
    }
    if let metadata = metadata(of: ref) {
      result.metadata = (graph.entries(of: metadata) ?? []).compactMap { key, value in
        graph.text(key).map { module in
          let version = graph.value(of: "version", in: value).flatMap(graph.int)
          return .init(module: module, value: opaque(value), version: version)
        }
      }
    }
    return result
  }

  /// The `_metadata` of a state dict.
  func metadata(of ref: PickleGraph.Ref) -> PickleGraph.Ref? {
    graph.attributes(of: ref).last { graph.text($0.key) == "_metadata" }?.value
  }

  func value(_ ref: PickleGraph.Ref) -> StateDict.Value {
    guard var tensor = tensor(of: ref) else { return .object(opaque(ref)) }
    // What was added is known to this checkpoint alone, not to all that were made from the document.
    guard document.tensors[ref.index] != nil else { return .tensor(tensor) }
    tensor.origin = TensorOrigin(document: document, node: ref.index)
    return .tensor(tensor)
  }

  private func opaque(_ ref: PickleGraph.Ref) -> OpaqueObject {
    var tensors: [Tensor] = []
    var seen: Set<PickleGraph.Ref> = [ref]
    var open = [ref]
    while let next = open.popLast() {
      if let tensor = tensor(of: next) {
        tensors.append(tensor)
        continue
      }
      for child in graph.parts(of: next) where seen.insert(child).inserted { open.append(child) }
    }
    let outer = tensorSubclasses.outer(of: ref).map {
      OpaqueObject.TensorLike(
        className: $0.className, shape: $0.shape, elementType: $0.elementType)
    }
    return OpaqueObject(
      summary: summary(of: ref), tensors: tensors,
      origin: TensorOrigin(document: document, node: ref.index), tensorLike: outer,
      content: { [self] in content(of: ref) })
  }
}
