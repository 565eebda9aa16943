internal import CkptPickle

extension Checkpoint {
  /// The number of tensors that can be reached from the root. A tensor with two names is counted
  /// once, and a parameter is counted together with its underlying tensor.
  ///
  /// - Throws: `PickleError` for an invalid graph.
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
