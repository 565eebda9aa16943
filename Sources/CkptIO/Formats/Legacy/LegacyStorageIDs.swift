internal import CkptPickle
internal import CkptBytes
internal import CkptPlatform
internal import CkptTensors
internal import CkptText

/// Converts the persistent IDs of the format before 1.6 to those of the zip format.
///
/// The old ID is `("storage", class, key, location, count, view)`, where `view` is None, or
/// `(key, offset, count)` for a storage that is a part of the storage `key`; or
/// `("module", class, file, source)`, which represents the class.
struct LegacyStorageIDs {
  typealias Ref = PickleGraph.Ref

  struct Root {
    /// The size of an element of the class in bytes.
    let width: Int
    let byteCount: Int
    /// The bytes; nil until they are found.
    var source: ByteSource?
  }

  /// A part of a storage, in bytes.
  private struct View {
    let key: String
    let offset: Int
    let byteCount: Int
  }

  /// The storages in the file, by key.
  var roots: ExactDictionary<Root> = [:]
  /// For each persistent ID of a storage, its key, and the part of the storage that it is.
  private var ids: [(id: Ref, key: String, view: View?)] = []

  /// Finds the persistent IDs of a graph, and converts them to the form of the zip format.
  mutating func find(in graph: inout PickleGraph, stream: LegacyStream) throws {
    for index in graph.nodes.indices {
      let ref = Ref(index: UInt32(index))
      guard case .persistentID(let inner) = graph[ref] else { continue }
      guard let items = graph.items(of: inner).map(Array.init), let kind = items.first else {
        throw Self.bad(graph, ref, stream)
      }
      switch graph.text(kind) {
      case "module":
        guard items.count >= 2, graph.global(items[1]) != nil else {
          throw Self.bad(graph, ref, stream)
        }
        graph.replace(ref, with: graph[items[1]])
      case "storage":
        try addStorage(ref, items, &graph, stream)
      default:
        throw Self.bad(graph, ref, stream)
      }
    }
  }

  private static func bad(
    _ graph: PickleGraph, _ ref: Ref, _ stream: LegacyStream,
    _ problem: String = "a persistent id that is no storage of PyTorch's"
  ) -> CheckpointError {
    .badObject(file: stream.file.path, path: graph.path(to: ref), problem)
  }

  private mutating func addStorage(
    _ ref: Ref, _ items: [Ref], _ graph: inout PickleGraph, _ stream: LegacyStream
  ) throws {
    guard items.count == 5 || items.count == 6, let name = graph.global(items[1]),
      let key = graph.text(items[2]) ?? graph.decimal(items[2]), graph.text(items[3]) != nil,
      let count = graph.int(items[4]), count >= 0
    else { throw Self.bad(graph, ref, stream) }
    let type = StorageTable.dtypes[name.name]
    guard type != nil || name.name == "UntypedStorage" else {
      throw Self.bad(
        graph, ref, stream, "storages of class \(name.module).\(name.name) are not supported")
    }
    let width = (type ?? .uint8).byteCount
    guard let byteCount = (type ?? .uint8).byteCount(ofElements: count) else {
      throw Self.bad(graph, ref, stream, "storage \(key) is too large")
    }
    if let known = roots[key], known.byteCount != byteCount {
      throw Self.bad(graph, ref, stream, "storage \(key) has two sizes")
    }
    if roots[key] == nil { roots[key] = Root(width: width, byteCount: byteCount) }
    let view = try view(items, width: width, of: byteCount) { Self.bad(graph, ref, stream, $0) }
    ids.append((ref, key, view))
    if items.count == 6 {
      var items = Array(items[..<5])
      if let view { items[4] = graph.addInt(view.byteCount / width) }
      let tuple = graph.addTuple(items)
      graph.replace(ref, with: .persistentID(tuple))
    }

    func view(
      _ items: [Ref], width: Int, of total: Int, bad: (String) -> CheckpointError
    ) throws -> View? {
      guard items.count == 6 else { return nil }
      if case .none = graph[items[5]] { return nil }
      guard let parts = graph.items(of: items[5]).map(Array.init), parts.count == 3,
        let viewKey = graph.text(parts[0]) ?? graph.decimal(parts[0]),
        let offset = graph.int(parts[1]), let count = graph.int(parts[2])
      else { throw bad("a view of storage \(key) makes no sense") }
      let (end, overflow) = offset.addingReportingOverflow(count)
      guard offset >= 0, count >= 0, !overflow, end <= total / width else {
        throw bad("a view of storage \(key) leaves it")
      }
      return View(key: viewKey, offset: offset * width, byteCount: count * width)
    }
  }

  /// The storages of the persistent IDs. A part of a storage becomes a storage of its own, as after
  /// `torch.load` and `torch.save`.
  func resolve(in graph: PickleGraph, stream: LegacyStream) throws -> [UInt32: Storage] {
    var storages: [UInt32: Storage] = [:]
    var byKey: ExactDictionary<Storage> = [:]
    for (id, key, view) in ids {
      let name = view.map { "\(key) \($0.key)" } ?? key
      if let known = byKey[name] {
        guard known.byteCount == view?.byteCount ?? known.byteCount else {
          throw Self.bad(graph, id, stream, "a part of storage \(key) has two sizes")
        }
        storages[id.index] = known
        continue
      }
      guard case .region(var region)? = roots[key]?.source else {
        throw Self.bad(graph, id, stream, "storage \(key) is not in the file")
      }
      if let view {
        region.offset += view.offset
        region.byteCount = view.byteCount
      }
      let storage = Storage(.region(region), name: key)
      byKey[name] = storage
      storages[id.index] = storage
    }
    return storages
  }
}
