public import Foundation
internal import CkptPickle
package import CkptPlatform
public import CkptStateDicts
internal import CkptTensors

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
  public init(contentsOf path: String) throws {
    self.init(document: try FormatRegistry.document(of: CheckpointInput(path)))
  }

  /// Opens the checkpoint at `url`, which must be a file's.
  ///
  /// - Throws: as `init(contentsOf:)` of a path; `FileError` for a URL that is no file's.
  public init(contentsOf url: URL) throws {
    guard url.isFileURL else {
      throw FileError(.cannotOpen, "only a file's URL can be opened", path: url.absoluteString)
    }
    try self.init(contentsOf: url.path(percentEncoded: false))
  }

  /// Opens the checkpoint in `file`.
  package init(_ file: File) throws { try self.init(CheckpointInput(file)) }

  /// Opens the checkpoint in what is open already.
  init(_ input: CheckpointInput) throws {
    self.init(document: try FormatRegistry.document(of: input))
  }

  /// A checkpoint whose root is the state dict.
  ///
  /// Objects that came from one checkpoint stay shared as they were there.
  ///
  /// - Throws: `CheckpointError` for values that have no place in a new checkpoint.
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

  /// The format that was detected.
  public var format: Format { document.format }

  /// The path of the file or folder; empty for a checkpoint made here.
  public var path: String { document.path }

  /// The open files that it was read from.
  package var files: [File] { document.files }

  /// Text that the format stores beside the objects, in its order, such as safetensors' `__metadata__`; without the names of
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

  /// Whether an object is one of numpy's arrays.
  func isArray(_ ref: PickleGraph.Ref) -> Bool {
    guard case .reduce(let callable, _) = graph.body(of: ref)?.construction,
      let (module, _) = graph.nameBytes(callable)
    else { return false }
    return graph.bytes(module).starts(with: "numpy.".utf8)
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
        className: $0.className, shape: $0.shape, dtype: $0.dtype)
    }
    return OpaqueObject(
      summary: summary(of: ref), tensors: tensors,
      origin: TensorOrigin(document: document, node: ref.index), tensorLike: outer,
      content: { [self] in content(of: ref) })
  }
}
