extension PickleGraph {
  /// The child of `ref` in the given slot. Slots count from 0; some are empty.
  ///
  /// The slots are in the order in which Python's pickler visits the children.
  private func child(of ref: Ref, at slot: Int) -> Child {
    switch nodes[ref.slot] {
    case .tuple(let first, let count):
      guard slot < Int(count) else { return .end }
      return .ref(tupleItems[Int(first) + slot])
    case .persistentID(let id):
      return slot == 0 ? .ref(id) : .end
    case .object(let body):
      if slot < 3 {
        switch (bodies[Int(body)].construction, slot) {
        case (.frozenSet(let items), 0): return .ref(items)
        case (.reduce(let callable, _), 0): return .ref(callable)
        case (.reduce(_, let arguments), 1): return .ref(arguments)
        case (.newObject(let cls, _), 0), (.newObjectWithKeywords(let cls, _, _), 0):
          return .ref(cls)
        case (.newObject(_, let arguments), 1), (.newObjectWithKeywords(_, let arguments, _), 1):
          return .ref(arguments)
        case (.newObjectWithKeywords(_, _, let keywords), 2): return .ref(keywords)
        default: return .empty
        }
      }
      let edit = (slot - 3) / 2
      guard edit < bodies[Int(body)].edits.count else { return .end }
      switch bodies[Int(body)].edits[edit] {
      case .setItem(let key, let value): return .ref((slot - 3) % 2 == 0 ? key : value)
      case .append(let item), .add(let item), .build(let item), .call(let item):
        return (slot - 3) % 2 == 0 ? .ref(item) : .empty
      }
    default:
      return .end
    }
  }

  private enum Child {
    case ref(Ref)
    case empty
    case end
  }

  /// Visits every object that can be reached from `start`, each once, in the order of Python's
  /// pickler.
  ///
  /// The walk is iterative, so deep nesting needs heap memory only, no stack.
  ///
  /// - Parameters:
  ///   - start: the object to begin with.
  ///   - depthLimit: the maximum nesting depth.
  ///   - mention: called with an object and one of its children, once for each occurrence.
  ///   - visit: called with each object before its children; returns false to skip the children.
  /// - Throws: ``PickleError/nestingTooDeep(limit:)`` where the nesting exceeds `depthLimit`; what
  ///   `visit` throws.
  package func walk(
    from start: Ref, depthLimit: Int = .max, mention: ((Ref, Ref) -> Void)? = nil,
    _ visit: (Ref) throws -> Bool
  ) throws {
    var seen = [Bool](repeating: false, count: nodes.count)
    var path: [(ref: Ref, slot: Int)] = []
    func enter(_ ref: Ref) throws {
      guard !seen[ref.slot] else { return }
      seen[ref.slot] = true
      guard try visit(ref) else { return }
      switch nodes[ref.slot] {
      case .tuple, .persistentID, .object:
        guard path.count < depthLimit else { throw PickleError.nestingTooDeep(limit: depthLimit) }
        path.append((ref, 0))
      default: break
      }
    }
    try enter(start)
    while let (ref, slot) = path.last {
      switch child(of: ref, at: slot) {
      case .end: path.removeLast()
      case .empty: path[path.count - 1].slot += 1
      case .ref(let next):
        path[path.count - 1].slot += 1
        mention?(ref, next)
        try enter(next)
      }
    }
  }
}
