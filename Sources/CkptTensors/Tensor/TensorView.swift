/// The properties of a tensor that determine its values: the storage, and how it is read.
///
/// Two tensors have equal views exactly if they have the same dtype and shape and read the same
/// elements of the same storage in the same way, whatever the storage contains. Tied weights have
/// equal views. Properties without influence on the values are ignored: the stride of a dimension
/// with one element, the offset of a tensor without elements, the conjugation of real numbers, and
/// `requires_grad`.
package struct TensorView: Hashable, Sendable {
  /// The storage; retained, so that its object identifier is not reused.
  package let storage: Storage
  /// The dtype of the elements.
  package let dtype: DType
  /// The sizes of the dimensions.
  package let shape: [Int]
  /// The strides in elements; 0 for dimensions without effect.
  package let strides: [Int]
  /// The index of the first element in the storage.
  package let offset: Int
  /// Whether there are no elements that could be shared: the tensor has none, or is on the meta
  /// device.
  package let isEmpty: Bool
  private let isMeta: Bool
  private let isConjugate: Bool
  private let isNegative: Bool
  private let quantization: QuantizationIdentity

  /// Creates the view of a tensor.
  package init(_ tensor: Tensor) {
    self.init(tensor, isRaw: false)
  }

  /// Creates the view of a tensor; with `isRaw`, conjugation, negation, and quantization are
  /// ignored.
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

  /// Whether both views read the same elements in the same way.
  package static func == (left: TensorView, right: TensorView) -> Bool {
    left.storage === right.storage && left.isEqual(to: right)
  }

  /// Whether both views read their storages in the same way.
  func isEqual(to other: TensorView) -> Bool {
    dtype == other.dtype && offset == other.offset && shape == other.shape
      && strides == other.strides && isMeta == other.isMeta && isConjugate == other.isConjugate
      && isNegative == other.isNegative && quantization == other.quantization
  }

  /// Hashes the properties that are compared.
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
  /// Whether the elements' bits have the same meaning in both views, and the shapes are equal.
  package func hasSameMeaning(as other: TensorView) -> Bool {
    dtype == other.dtype && shape == other.shape && isMeta == other.isMeta
      && quantization == other.quantization
  }
}

extension Tensor {
  /// The view that determines the tensor's values, for comparing tensors by identity.
  package var view: TensorView { TensorView(self) }

  /// The elements that the tensor reads, ignoring conjugation, negation, and quantization.
  var reach: TensorView { TensorView(self, isRaw: true) }
}

/// The parameters of a quantization, compared by bits, so that NaN is equal to itself.
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
