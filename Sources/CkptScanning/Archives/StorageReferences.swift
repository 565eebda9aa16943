internal import CkptBytes
internal import CkptPickle
internal import CkptPlatform

/// The byte ranges that the `.metadata` of a distributed checkpoint refers to. Each is loaded as a
/// file of its own by `torch.load`, wherever it lies.
enum StorageReferences {
  /// The maximum size in bytes of the metadata.
  private static let limit = 256 << 20

  /// The ranges that the metadata in a folder list, by the names of their files.
  ///
  /// - Throws: `FileError` if the file cannot be read.
  static func inFolder(_ folder: Folder) throws -> [String: [Range<Int>]] {
    var found: [String: Set<Range<Int>>] = [:]
    for name in folder.names where name.hasSuffix(".metadata") {
      guard let file = try? folder.open(name), file.size <= limit else { continue }
      let graph = PickleGraph.salvage(try file.bytes(at: 0, count: file.size)).graph
      for index in graph.nodes.indices {
        let ref = PickleGraph.Ref(index: UInt32(index))
        guard let (file, range) = reference(ref, in: graph) else { continue }
        found[file, default: []].insert(range)
      }
    }
    return found.mapValues { $0.sorted { $0.lowerBound < $1.lowerBound } }
  }

  /// The file, offset, and length in a `_StorageInfo`, as attributes or as arguments of a call.
  private static func reference(
    _ ref: PickleGraph.Ref, in graph: PickleGraph
  ) -> (String, Range<Int>)? {
    guard let body = graph.body(of: ref) else { return nil }
    var (path, offset, length): (String?, Int?, Int?)
    if case .dict = body.construction {
      for case .setItem(let key, let value) in body.edits {
        switch graph.text(key) {
        case "relative_path": path = graph.text(value)
        case "offset": offset = graph.int(value)
        case "length": length = graph.int(value)
        default: break
        }
      }
    } else {
      let arguments: PickleGraph.Ref
      switch body.construction {
      case .reduce(_, let given), .newObject(_, let given): arguments = given
      default: return nil
      }
      guard let items = graph.items(of: arguments).map(Array.init), items.count >= 3 else {
        return nil
      }
      (path, offset, length) = (graph.text(items[0]), graph.int(items[1]), graph.int(items[2]))
    }
    guard let path, let offset, let length, offset >= 0, length > 0,
      !offset.addingReportingOverflow(length).overflow
    else { return nil }
    return (String(path.split(separator: "/").last ?? ""), offset..<offset + length)
  }
}
