internal import CkptTensors

/// A list of tensors in which equal views occur once, so that each is processed once.
struct DistinctTensors {
  private(set) var tensors: [Tensor] = []
  /// For each of the given tensors, its index in ``tensors``.
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
