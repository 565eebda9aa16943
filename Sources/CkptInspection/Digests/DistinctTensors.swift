internal import CkptTensors

/// Tensors of which those that are the same view are worked on once.
struct DistinctTensors {
  private(set) var tensors: [Tensor] = []
  /// For each tensor that was given, its place in ``tensors``.
  private(set) var positions: [Int] = []

  init(_ all: [Tensor]) {
    var known: [TensorView: Int] = [:]
    for tensor in all {
      let view = tensor.view
      if let position = known[view] {
        positions.append(position)
        continue
      }
      known[view] = tensors.count
      positions.append(tensors.count)
      tensors.append(tensor)
    }
  }
}
