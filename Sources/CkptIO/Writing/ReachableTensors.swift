internal import CkptPickle

extension Checkpoint {
  /// How many tensors the root leads to, wherever they are; a tensor under two names counts once, and a parameter as
  /// one with the tensor that it is made of.
  ///
  /// - Throws: `PickleError` for a graph that is no tree of objects.
  public func reachableTensorCount() throws -> Int {
    var count = 0
    try graph.walk(from: graph.root) { ref in
      guard tensor(of: ref) != nil else { return true }
      count += 1
      return false
    }
    return count
  }
}
