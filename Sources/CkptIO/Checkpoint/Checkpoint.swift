public import Foundation
internal import CkptPickle
package import CkptPlatform
public import CkptStateDicts
internal import CkptTensors
internal import CkptText

/// A checkpoint: a graph of objects, the storages of its tensors, and the state dicts in it.
///
/// A value type: editing a copy does not change the original. Opening a checkpoint reads its
/// pickle; the tensors' bytes remain in the file until they are needed.
///
/// ```swift
/// var checkpoint = try Checkpoint("moco.pth")
/// let backbone = try checkpoint.stateDict(at: "state_dict").filter(exclude: "fc")
/// try Checkpoint(backbone).write(to: "backbone.pt")
/// ```
public struct Checkpoint: Sendable {
  package let document: CheckpointDocument
  var graph: PickleGraph
  /// The storages that were added after reading, by the number of their persistent ID.
  var addedStorages: [UInt32: Storage] = [:]
  /// The tensors that were added after reading, by object number.
  var addedTensors: TensorTable = [:]
  /// The objects copied from other checkpoints: for each document, the copy by the original's
  /// object number.
  var imported: [ObjectIdentifier: [UInt32: PickleGraph.Ref]] = [:]
  /// The classes and functions in the graph, by name; nil until first needed.
  var globals: ExactDictionary<PickleGraph.Ref>?
  /// Whether only a part of the checkpoint is left, in which case records beside the pickle are not
  /// written.
  var isExtract = false
  /// Retains the documents whose object identifiers are keys of `imported`.
  var importedDocuments: [CheckpointDocument] = []

  /// Opens the checkpoint at `path`, a file or a folder of any supported format. Nothing that a
  /// pickle names is imported or run.
  ///
  /// - Throws: `FileError`, `ZipError`, or `CheckpointError`, depending on the problem.
  public init(contentsOf path: String) throws {
    self.init(document: try FormatRegistry.document(of: CheckpointInput(path)))
  }

  /// Opens the checkpoint at `url`, which must be a file URL.
  ///
  /// - Throws: as `init(contentsOf:)` for a path; `FileError` for other URLs.
  public init(contentsOf url: URL) throws {
    guard url.isFileURL else {
      throw FileError(.cannotOpen, "only a file's URL can be opened", path: url.absoluteString)
    }
    try self.init(contentsOf: url.path(percentEncoded: false))
  }

  /// Opens the checkpoint in `file`.
  package init(_ file: File) throws { try self.init(CheckpointInput(file)) }

  /// Opens the checkpoint in an open file or folder.
  ///
  /// - Throws: as `init(contentsOf:)`.
  package init(_ input: CheckpointInput) throws {
    self.init(document: try FormatRegistry.document(of: input))
  }

  /// Creates a checkpoint whose root object is the state dict.
  ///
  /// Objects from one checkpoint that were shared remain shared.
  ///
  /// - Throws: `CheckpointError` for values that cannot be stored in a new checkpoint.
  public init(_ stateDict: StateDict) throws {
    self.init(document: CheckpointDocument())
    if stateDict.metadata != nil {
      let cls = graph.addGlobal("collections", "OrderedDict")
      let nothing = graph.addTuple([])
      graph.root = graph.addObject(.reduce(callable: cls, arguments: nothing))
    }
    try replaceStateDict(at: "/", with: stateDict)
  }

  /// Creates a checkpoint of all that a document holds.
  package init(document: CheckpointDocument) {
    self.document = document
    graph = document.graph
  }

  /// The format that was detected.
  public var format: Format { document.format }

  /// The path of the file or folder; empty for a new checkpoint.
  public var path: String { document.path }

  /// The open files from which the checkpoint was read.
  package var files: [File] { document.files }

  /// The text metadata that the format stores beside the objects, in order, such as safetensors'
  /// `__metadata__`; without the recorded names of tied tensors.
  public var metadata: [(key: String, value: String)] {
    document.metadata.filter { !document.recordedTies.contains($0.key) }
  }

  /// The storage of a persistent ID.
  func storage(of id: PickleGraph.Ref) -> Storage? {
    document.storages[id] ?? addedStorages[id.index]
  }

  /// The plain tensor of an object; nil for other objects.
  func tensor(of ref: PickleGraph.Ref) -> Tensor? {
    document.tensors[ref.index] ?? addedTensors[ref.index]
  }

  // MARK: - State dicts

  /// Whether an object is a NumPy array.
  func isArray(_ ref: PickleGraph.Ref) -> Bool {
    guard case .reduce(let callable, _) = graph.body(of: ref)?.construction,
      let (module, _) = graph.nameBytes(callable)
    else { return false }
    return graph.bytes(module).starts(with: "numpy.".utf8)
  }

  /// The object at a path.
  ///
  /// - Throws: `CheckpointError` if there is none.
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

  /// The state dict at a path, or without a path the one that ``stateDictPath()`` finds.
  ///
  /// `torch.load(path)['model']` is `try Checkpoint(path).stateDict(at: "model")`.
  ///
  /// - Parameter at: keys joined by `/`; `/` is the root.
  /// - Throws: `CheckpointError` if there is none, or one of its keys is not a string.
  public func stateDict(at: String? = nil) throws -> StateDict {
    let written = try at ?? stateDictPath()
    let ref = try resolve(written)
    if isModule(ref) { return try moduleStateDict(ref, at: written).stateDict }
    guard let entries = graph.entries(of: ref) else {
      throw CheckpointError.noMapping(file: path, path: written, what: summary(of: ref))
    }
    var result = StateDict()
    // An object may be the value of many keys.
    var objects: [PickleGraph.Ref: StateDict.Value] = [:]
    for (key, value) in entries {
      guard let text = graph.text(key) else {
        throw CheckpointError.keyIsNoString(file: path, path: written, key: summary(of: key))
      }
      let found = objects[value] ?? self.value(value)
      if case .object = found { objects[value] = found }
      result.setValue(found, for: text)
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
    // Added tensors belong to this checkpoint only, not to others made from the same document.
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
