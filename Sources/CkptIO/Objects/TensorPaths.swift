internal import CkptPickle
package import CkptTensors

extension Checkpoint {
  /// All plain tensors with the paths of their objects, in the order of Python's pickler; an object
  /// that occurs several times is listed where it occurs first.
  package func tensorsByPath() -> [(path: String, tensor: Tensor)] {
    let paths = ObjectPaths(graph)
    var found: [(path: String, tensor: Tensor)] = []
    // The visitor throws nothing, and the depth is not limited.
    try? graph.walk(from: graph.root) { ref in
      guard let tensor = tensor(of: ref) else { return true }
      found.append((paths.path(to: ref), tensor))
      return false
    }
    return found
  }
}
