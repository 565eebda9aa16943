internal import CkptPickle
internal import CkptPlatform
internal import CkptBytes
internal import CkptTensors

/// The storages that compacting made smaller, and the bytes that it saved.
public struct CompactReport: Sendable, Hashable {
  /// One storage that became smaller.
  public struct Shrunk: Sendable, Hashable {
    /// The path of the first tensor that uses the storage.
    public let path: String
    /// The number of tensors that use it.
    public let tensorCount: Int
    /// The number of bytes before.
    public let before: Int
    /// The number of bytes of the storages that replace it.
    public let after: Int
  }

  /// The storages that became smaller, in the order of the checkpoint's objects.
  public fileprivate(set) var shrunk: [Shrunk] = []
  /// The number of bytes of all storages in use before.
  public fileprivate(set) var before = 0
  /// The number of bytes of all storages in use after.
  public var after: Int { before - saved }
  /// The number of bytes saved.
  public var saved: Int { shrunk.reduce(0) { $0 + $1.before - $1.after } }
}

extension Checkpoint {
  /// Reduces every storage to the elements that its tensors use: a saved slice no longer keeps the
  /// whole tensor from which it was taken.
  ///
  /// Tensors that may share elements remain in one storage, tied weights remain tied, and values,
  /// shapes, and other objects are unchanged. Strides are unchanged, unless a tensor is the only
  /// one that uses a part of the storage and skips elements in it. A storage that is referenced by
  /// other objects than plain tensors is not reduced.
  ///
  /// - Throws: `TensorError` if a storage cannot be split.
  @discardableResult
  public mutating func compact() throws -> CompactReport {
    guard document.format != .torchScript else {
      throw CheckpointError.cannotWrite(
        file: path,
        "a TorchScript archive cannot be written, since its code belongs to its weights",
        hint: "\(.filterAndExtract) writes its state dict alone")
    }
    var report = CompactReport()
    self = try spelledOut()
    let uses = try storageUses()
    var seen: Set<ObjectIdentifier> = []
    let paths = ObjectPaths(graph)
    for use in uses.inOrder where seen.insert(ObjectIdentifier(use.storage)).inserted {
      report.before += use.storage.byteCount
      guard !uses.fixed.contains(ObjectIdentifier(use.storage)) else { continue }
      let calls = uses.calls[ObjectIdentifier(use.storage)] ?? []
      guard let (views, after) = try compacted(calls.map(\.tensor), of: use.storage) else {
        continue
      }
      report.shrunk.append(
        .init(
          path: calls.first.map { paths.path(to: $0.ref) } ?? "/", tensorCount: calls.count,
          before: use.storage.byteCount, after: after))
      for (call, view) in zip(calls, views) { move(call, to: view) }
    }
    return report
  }

  /// The views of a storage on smaller ones, and their number of bytes; nil if the storage cannot
  /// be reduced.
  private func compacted(
    _ views: [Tensor], of storage: Storage
  ) throws -> (views: [Tensor], byteCount: Int)? {
    let compaction = try Compaction(views, of: storage)
    return compaction.views.map { ($0, compaction.byteCount) }
  }

  /// A call that rebuilds a tensor from a storage.
  private struct Call {
    let ref: PickleGraph.Ref
    let tensor: Tensor
    /// The tuple that begins with the persistent ID, offset, size, and stride.
    let arguments: PickleGraph.Ref
    /// The tuple that contains `arguments` as its third item; nil if they are the call's own
    /// arguments.
    let outer: PickleGraph.Ref?
  }

  private struct Uses {
    /// Every reference to a storage in use, in the order of Python's pickler.
    var inOrder: [(id: PickleGraph.Ref, storage: Storage)] = []
    var calls: [ObjectIdentifier: [Call]] = [:]
    /// Storages that are referenced by other objects than plain tensors.
    var fixed: Set<ObjectIdentifier> = []
  }

  private func storageUses() throws -> Uses {
    var uses = Uses()
    var owners: [PickleGraph.Ref: [Call]] = [:]
    var order: [PickleGraph.Ref] = []
    try graph.walk(from: graph.root) { ref in
      order.append(ref)
      return true
    }
    for ref in order {
      guard let tensor = tensor(of: ref), let call = call(ref, tensor) else { continue }
      owners[call.arguments, default: []].append(call)
    }
    // Other references to a persistent ID use the whole storage.
    for ref in order {
      if case .persistentID = graph[ref], let storage = storage(of: ref) {
        uses.inOrder.append((ref, storage))
      }
      for (position, part) in graph.parts(of: ref).enumerated() {
        guard case .persistentID = graph[part], let storage = storage(of: part) else { continue }
        if position == 0, let calls = owners[ref] {
          uses.calls[ObjectIdentifier(storage), default: []] += calls
        } else {
          uses.fixed.insert(ObjectIdentifier(storage))
        }
      }
    }
    if case .persistentID = graph[graph.root], let storage = storage(of: graph.root) {
      uses.fixed.insert(ObjectIdentifier(storage))
    }
    return uses
  }

  private func call(_ ref: PickleGraph.Ref, _ tensor: Tensor) -> Call? {
    guard case .reduce(_, let arguments)? = graph.body(of: ref)?.construction,
      let items = graph.items(of: arguments).map(Array.init), let first = items.first
    else { return nil }
    if case .persistentID = graph[first] {
      return Call(ref: ref, tensor: tensor, arguments: arguments, outer: nil)
    }
    // The arguments of _rebuild_from_type_v2 are (function, class, arguments, state).
    guard items.count > 2, let inner = graph.items(of: items[2])?.first,
      case .persistentID = graph[inner]
    else { return nil }
    return Call(ref: ref, tensor: tensor, arguments: items[2], outer: arguments)
  }

  /// Changes a call so that it rebuilds its tensor from another storage.
  private mutating func move(_ call: Call, to view: Tensor) {
    guard var items = graph.items(of: call.arguments).map(Array.init), items.count > 3,
      case .persistentID(let inner) = graph[items[0]],
      var id = graph.items(of: inner).map(Array.init), id.count > 4
    else { return }
    let type = StorageTable.dtype(ofPersistentID: items[0], in: graph) ?? .uint8
    let count = view.storage.byteCount / type.byteCount * type.elementsPerByte
    id[2] = graph.addString("moved")
    id[4] = graph.addInt(count)
    let tuple = graph.addTuple(id)
    let new = graph.add(.persistentID(tuple))
    addedStorages[new.index] = view.storage
    items[0] = new
    items[1] = graph.addInt(view.offset)
    let strides = view.strides.map { graph.addInt($0) }
    items[3] = graph.addTuple(strides)
    var arguments = graph.addTuple(items)
    if let outer = call.outer, var outside = graph.items(of: outer).map(Array.init) {
      outside[2] = arguments
      arguments = graph.addTuple(outside)
    }
    guard var body = graph.body(of: call.ref), case .reduce(let callable, _) = body.construction
    else { return }
    body.construction = .reduce(callable: callable, arguments: arguments)
    graph.replaceBody(of: call.ref, with: body)
  }
}
