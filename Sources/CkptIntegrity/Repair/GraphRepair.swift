internal import CkptBytes
internal import CkptIO
internal import CkptPickle
internal import CkptPlatform
internal import CkptTensors

/// Makes a checkpoint of a pickle's objects and of what is left of its storages.
struct GraphRepair {
  typealias Loss = RepairedCheckpoint.Loss

  private let graph: PickleGraph
  private let document: CheckpointDocument
  private let remains: [ObjectIdentifier: Remains]
  private let paths: ObjectPaths
  private let file: File

  /// Finds the tensors of a graph.
  ///
  /// - Parameters:
  ///   - storages: the storage of each persistent ID, of the size that the pickle states.
  ///   - remains: what is left of each storage; complete ones may be missing.
  /// - Throws: `CheckpointError.badObject` if a tensor exceeds its storage or is invalid.
  init(
    _ graph: PickleGraph, _ storages: StorageTable, remains: [ObjectIdentifier: Remains],
    format: Checkpoint.Format, file: File
  ) throws {
    self.graph = graph
    self.remains = remains
    self.file = file
    document = try CheckpointDocument(graph, storages, format: format, file: file)
    paths = ObjectPaths(graph)
  }

  private func remains(of storage: Storage?) -> Remains? {
    storage.flatMap { remains[ObjectIdentifier($0)] }
  }

  private func isIncomplete(_ tensor: Tensor) -> Bool {
    guard let left = remains(of: tensor.storage) else { return false }
    return tensor.reachedByteCount > left.knownByteCount
  }

  /// The objects whose bytes are incomplete: tensors, and persistent IDs of storages.
  private func incompleteObjects() throws -> [UInt32] {
    var found: [UInt32] = []
    try graph.walk(from: graph.root) { ref in
      if let tensor = document.tensors[ref.index] {
        if isIncomplete(tensor) { found.append(ref.index) }
      } else if case .persistentID = graph[ref], let storage = document.storages[ref],
        let left = remains(of: storage), left.knownByteCount < storage.byteCount
      {
        found.append(ref.index)
      }
      return true
    }
    return found
  }

  private func loss(of ref: PickleGraph.Ref, because cause: PickleGraph.Ref) -> Loss {
    let tensor = document.tensors[ref.index]
    let storage = document.tensors[cause.index]?.storage ?? document.storages[cause]
    return Loss(
      path: paths.path(to: ref), dtype: tensor?.dtype.name, shape: tensor?.shape,
      reason: remains(of: storage)?.reason ?? "what describes it is lost")
  }

  /// The tensors, each once, for which `condition` is true of the remains of their storage.
  private func tensors(where condition: (Tensor, Remains) -> Bool) throws -> [Loss] {
    var found: [Loss] = []
    try graph.walk(from: graph.root) { ref in
      guard let tensor = document.tensors[ref.index] else { return true }
      if let left = remains(of: tensor.storage), condition(tensor, left) {
        found.append(loss(of: ref, because: ref))
      }
      return false
    }
    return found
  }

  /// The outermost lost objects.
  private func losses(_ removal: LossRemoval) throws -> [Loss] {
    try removal.outermost().map { loss(of: $0.ref, because: $0.cause) }
  }

  private func nothingLeft(_ lost: [Loss], _ options: RepairOptions) -> RepairError {
    .nothingLeft(
      file: document.path, lost.first?.reason ?? "no entry is complete",
      canBeUnverified: !options.keepsUnverified && remains.values.contains(where: \.isUnverified))
  }

  /// The storages of what remains. Incomplete ones are shrunk to what its tensors view.
  private func shrunkStorages(_ remaining: PickleGraph) throws -> StorageTable {
    var reach: [ObjectIdentifier: Int] = [:]
    var isWhole: Set<ObjectIdentifier> = []
    try remaining.walk(from: remaining.root) { ref in
      if let tensor = document.tensors[ref.index] {
        let id = ObjectIdentifier(tensor.storage)
        reach[id] = max(reach[id] ?? 0, tensor.reachedByteCount)
        return false
      }
      if let storage = document.storages[ref] { isWhole.insert(ObjectIdentifier(storage)) }
      return true
    }
    var shrunk: [ObjectIdentifier: Storage] = [:]
    return StorageTable(
      document.storages.storages.mapValues { storage in
        let id = ObjectIdentifier(storage)
        guard let left = remains[id], left.knownByteCount < storage.byteCount,
          !isWhole.contains(id), let count = reach[id], count < storage.byteCount
        else { return storage }
        let part = shrunk[id] ?? Storage(storage.source.first(count), name: storage.name)
        shrunk[id] = part
        return part
      })
  }

  /// The checkpoint and the losses.
  ///
  /// - Parameters:
  ///   - otherRecords: records beside the pickle and the storages that are carried along.
  ///   - problems: what is wrong with the file.
  ///   - unresolved: the numbers of objects that are lost in any case.
  ///   - lacksObjects: whether objects are missing in the graph.
  /// - Throws: `RepairError.nothingLeft` if nothing is left but losses.
  func repaired(
    _ options: RepairOptions, otherRecords: [(name: String, source: ByteSource)] = [],
    problems: [String] = [], lost others: [Loss] = [], unresolved: [UInt32] = [],
    lacksObjects: Bool = false
  ) throws -> RepairedCheckpoint {
    var lost: [Loss] = []
    var filled: [Loss] = []
    var removal = try LossRemoval(
      graph, tensors: document.tensors, lost: incompleteObjects() + unresolved)
    if options.partial == .zeros {
      filled = try losses(removal)
      removal = try LossRemoval(graph, tensors: document.tensors, lost: unresolved)
      let gone = Set(try losses(removal))
      filled.removeAll(where: gone.contains)
    }
    lost = try losses(removal)
    guard let remaining = try removal.remaining() else {
      throw nothingLeft(lost, options)
    }
    // Without its tensors, a state dict is an empty dict.
    if let body = remaining.body(of: remaining.root), body.edits.isEmpty,
      graph.body(of: graph.root)?.edits.isEmpty == false || lacksObjects
    {
      throw nothingLeft(lost, options)
    }
    let unverified = try tensors { tensor, left in left.isUnverified && !isIncomplete(tensor) }
    let storages = try shrunkStorages(remaining)
    let shrunk = try CheckpointDocument(remaining, storages, format: document.format, file: file)
    let result = CheckpointDocument(
      graph: remaining, storages: storages, tensors: shrunk.tensors, format: document.format,
      path: document.path, files: document.files, otherRecords: otherRecords)
    return try RepairedCheckpoint(
      Checkpoint(document: result), problems: problems, lost: lost + others, filled: filled,
      unverified: unverified, lacksObjects: lacksObjects)
  }
}
