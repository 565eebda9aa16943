internal import CkptPickle

extension Checkpoint {
  /// How many tensors the root leads to, wherever they are; a tensor under two names counts once.
  ///
  /// - Throws: `PickleError` for a graph that is no tree of objects.
  public func reachableTensorCount() throws -> Int {
    var count = 0
    try graph.walk(from: graph.root) { ref in
      if tensor(of: ref) != nil { count += 1 }
      return true
    }
    return count
  }
}
