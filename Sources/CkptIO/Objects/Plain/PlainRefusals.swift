internal import CkptText
internal import CkptPickle

// Objects that cannot be converted to plain data without changing their meaning.
extension Checkpoint {
  /// Checks that no tensor has more than the elements of one plain tensor, such as a subclass for
  /// quantization, shards, or a mask.
  ///
  /// - Throws: `CheckpointError.cannotBePlain`.
  func refuseTensors(_ paths: ObjectPaths) throws {
    let subclasses = tensorSubclasses
    var found: [String] = []
    try graph.walk(from: graph.root) { ref in
      guard tensor(of: ref) == nil, let outer = subclasses.outer(of: ref) else {
        return tensor(of: ref) == nil
      }
      // PyTorch's own kinds are rebuilt by torch.load, or replaced like other objects.
      guard subclasses.parts(of: ref) != nil || outer.className.hasSuffix(".ShardedTensor") else {
        return true
      }
      found.append("\(paths.path(to: ref)) (\(Text.printable(outer.className)))")
      return false
    }
    guard found.isEmpty else { throw CheckpointError.cannotBePlain(file: path, objects: found) }
  }

  /// Checks that no key of a dict or item of a set became None or an object that Python cannot
  /// hash.
  ///
  /// - Parameters:
  ///   - seen: the objects that are converted.
  ///   - empty: the objects that are replaced by None.
  /// - Throws: `CheckpointError.cannotBePlain`.
  func refuseKeys(
    in seen: Set<PickleGraph.Ref>, empty: Set<PickleGraph.Ref>, _ paths: ObjectPaths
  ) throws {
    var found: [String] = []
    for ref in seen.sorted(by: { $0.index < $1.index }) where tensor(of: ref) == nil {
      for key in lookedUp(in: ref) where !isHashable(key, empty) {
        found.append("\(paths.path(to: ref)) (a key or an item of a set: \(summary(of: key)))")
      }
    }
    guard found.isEmpty else { throw CheckpointError.cannotBePlain(file: path, objects: found) }
  }

  /// The keys of a dict, or the items of a set.
  private func lookedUp(in ref: PickleGraph.Ref) -> [PickleGraph.Ref] {
    guard let body = graph.body(of: ref) else { return [] }
    var found: [PickleGraph.Ref] = body.edits.compactMap { edit in
      switch edit {
      case .setItem(let key, _): key
      case .add(let item): item
      default: nil
      }
    }
    if case .reduce(let callable, let arguments) = body.construction,
      ["__builtin__.set", "builtins.set"].contains(graph.globalName(callable)),
      let items = graph.items(of: arguments)?.first
    {
      found += graph.sequence(items) ?? []
    }
    return found
  }

  private static let hashable: Set<String> = [
    "_codecs.encode", "__builtin__.complex", "builtins.complex", "torch.Size", "torch.device",
    "torch.serialization._get_layout",
  ]

  private func isHashable(_ ref: PickleGraph.Ref, _ empty: Set<PickleGraph.Ref>) -> Bool {
    var open = [ref]
    var seen: Set<PickleGraph.Ref> = []
    while let next = open.popLast() {
      guard seen.insert(next).inserted else { continue }
      if tensor(of: next) != nil { continue }
      switch graph[next] {
      case .tuple: open += graph.items(of: next).map(Array.init) ?? []
      case .none: if empty.contains(next) { return false }
      case .bool, .int, .bigInt, .float, .string, .byteString, .bytes, .global: break
      case .object: if !Self.hashable.contains(graph.className(of: next) ?? "") { return false }
      case .byteArray, .extensionCode, .persistentID: return false
      }
    }
    return true
  }
}
