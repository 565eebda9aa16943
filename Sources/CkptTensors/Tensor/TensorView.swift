/// What a tensor looks at and how it reads it: everything that decides its values.
///
/// Two tensors have equal views exactly if they have the same type and shape and read, place by place, the same
/// elements of the same storage in the same way, whatever the storage holds: tied weights are equal views. What
/// decides nothing does not count: the stride of a dimension of one element, where a tensor without elements
/// begins, the conjugation of real numbers, `requires_grad`.
package struct TensorView: Hashable, Sendable {
  /// What is looked at; held, so that its identity stays its own.
  package let storage: Storage
  /// What the elements are.
  package let dtype: DType
  /// The sizes of the dimensions.
  package let shape: [Int]
  /// The strides in elements; 0 for a dimension along which nothing moves.
  package let strides: [Int]
  /// Where the first element lies, in elements.
  package let offset: Int
  /// Whether there are no elements to share: none at all, or none in memory (the meta device).
  package let isEmpty: Bool
  private let isMeta: Bool
  private let isConjugate: Bool
  private let isNegative: Bool
  private let quantization: QuantizationIdentity

  /// The view that a tensor is.
  package init(_ tensor: Tensor) {
    self.init(tensor, isRaw: false)
  }

  /// The same, with or without what is done to the elements that are read.
  fileprivate init(_ tensor: Tensor, isRaw: Bool) {
    let hasNone = tensor.shape.contains(0)
    storage = tensor.storage
    dtype = tensor.dtype
    shape = tensor.shape
    strides = zip(tensor.shape, tensor.strides).map { $0 > 1 && !hasNone ? $1 : 0 }
    offset = hasNone ? 0 : tensor.offset
    isMeta = tensor.isMeta
    isEmpty = hasNone || tensor.isMeta
    isConjugate = !isRaw && !hasNone && tensor.isConjugate && tensor.dtype.isComplex
    isNegative = !isRaw && !hasNone && tensor.isNegative
    quantization = isRaw ? .none : QuantizationIdentity(tensor.quantization)
  }

  /// Whether both read the same elements in the same way.
  package static func == (left: TensorView, right: TensorView) -> Bool {
    left.storage === right.storage && left.isEqual(to: right)
  }

  /// Whether both read their storages in the same way.
  func isEqual(to other: TensorView) -> Bool {
    dtype == other.dtype && offset == other.offset && shape == other.shape
      && strides == other.strides && isMeta == other.isMeta && isConjugate == other.isConjugate
      && isNegative == other.isNegative && quantization == other.quantization
  }

  /// Feeds what is compared.
  package func hash(into hasher: inout Hasher) {
    hasher.combine(ObjectIdentifier(storage))
    hasher.combine(dtype)
    hasher.combine(offset)
    hasher.combine(shape)
    hasher.combine(strides)
    hasher.combine(isNegative)
    hasher.combine(isConjugate)
  }
}

extension TensorView {
  /// Whether the bits of an element stand for the same in both, and both have the same shape.
  package func hasSameMeaning(as other: TensorView) -> Bool {
    dtype == other.dtype && shape == other.shape && isMeta == other.isMeta
      && quantization == other.quantization
  }
}

extension Tensor {
  /// What decides its values, for comparing it with other tensors by identity.
  package var view: TensorView { TensorView(self) }

  /// Which elements it reads, whatever is done to them then: the same for a tensor and its negative view.
  var reach: TensorView { TensorView(self, isRaw: true) }
}

/// A quantization's numbers bit by bit, so that it is equal to itself also where a number is NaN.
private indirect enum QuantizationIdentity: Hashable, Sendable {
  case none
  case perTensor(scale: UInt64, zeroPoint: Int)
  case perChannel(axis: Int, scales: [UInt64], zeroPoints: [UInt64])
  case perChannelFloat(axis: Int, scales: [UInt64], zeroPoints: [UInt64])

  init(_ quantization: Quantization?) {
    switch quantization {
    case nil: self = .none
    case .perTensor(let scale, let zeroPoint):
      self = .perTensor(scale: scale.bitPattern, zeroPoint: zeroPoint)
    case .perChannel(let axis, let scales, let zeroPoints):
      self = .perChannel(
        axis: axis, scales: scales.map(\.bitPattern), zeroPoints: zeroPoints.map(\.bitPattern))
    case .perChannelFloat(let axis, let scales, let zeroPoints):
      self = .perChannelFloat(
        axis: axis, scales: scales.map(\.bitPattern), zeroPoints: zeroPoints.map(\.bitPattern))
    }
  }
}
