internal import TensorStore

/// What two tensors share that are the same view of the same storage, such as tied weights.
struct ViewKey: Hashable {
  private let storage: ObjectIdentifier
  private let elementType: ElementType
  private let shape: [Int]
  private let strides: [Int]
  private let offset: Int
  private let isConjugate: Bool
  private let isNegative: Bool

  /// Nil for a tensor that stands for itself: meta or quantized.
  init?(_ tensor: Tensor) {
    guard !tensor.isMeta, tensor.quantization == nil else { return nil }
    storage = ObjectIdentifier(tensor.storage)
    elementType = tensor.elementType
    shape = tensor.shape
    strides = tensor.strides
    offset = tensor.offset
    isConjugate = tensor.isConjugate
    isNegative = tensor.isNegative
  }
}

/// Tensors of which those that are the same view are worked on once.
struct DistinctTensors {
  private(set) var tensors: [Tensor] = []
  /// For each tensor that was given, its place in ``tensors``.
  private(set) var places: [Int] = []

  init(_ all: [Tensor]) {
    var known: [ViewKey: Int] = [:]
    for tensor in all {
      let key = ViewKey(tensor)
      if let key, let place = known[key] {
        places.append(place)
        continue
      }
      if let key { known[key] = tensors.count }
      places.append(tensors.count)
      tensors.append(tensor)
    }
  }
}
