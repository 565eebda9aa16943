internal import CkptPlatform
internal import CkptTensors

/// Reads a tensor's elements in row-major order as real numbers, whatever its type.
///
/// Complex numbers are read as their magnitude, quantized ones as their dequantized value.
final class NumberReader {
  private let reader: ElementReader
  private let meaning: Meaning
  /// The index of the next element.
  private var position: Int
  /// Working memory for the parts of complex numbers.
  private var pairs: [Double] = []

  /// How stored numbers are converted to real ones.
  private enum Meaning {
    case itself
    case magnitude
    case scaled(Double, Double)
    case scaledPerChannel(scales: [Double], zeroPoints: [Double], inner: Int)
  }

  /// The recommended number of elements for each call of `read`.
  static let blockSize = 4096

  /// Whether the tensor's elements can be read as numbers.
  static func canRead(_ tensor: Tensor) -> Bool {
    guard !tensor.isMeta, let plain = try? plain(tensor) else { return false }
    return ElementConversion.isSupported(from: plain.dtype, to: .float64)
  }

  /// Creates a reader that starts at the element `start`, in row-major order.
  ///
  /// - Throws: `TensorError.noConversion` for types that are not numbers; `TensorError.badGeometry`
  ///   for scales that do not fit; `TensorError.noData`.
  init(_ tensor: Tensor, from start: Int) throws {
    let plain = try Self.plain(tensor)
    position = start
    switch tensor.dtype {
    case .complex32, .complex64, .complex128:
      meaning = .magnitude
      reader = try plain.makeElementReader(from: 2 * start)
      return
    case .qint8, .quint8, .qint32:
      switch tensor.quantization {
      case .perTensor(let scale, let zeroPoint): meaning = .scaled(scale, Double(zeroPoint))
      case .perChannel(let axis, let scales, let zeroPoints),
        .perChannelFloat(let axis, let scales, let zeroPoints):
        guard tensor.shape.indices.contains(axis), scales.count == tensor.shape[axis],
          zeroPoints.count == scales.count
        else { throw TensorError.badGeometry("the scales do not fit the quantized tensor") }
        meaning = .scaledPerChannel(
          scales: scales, zeroPoints: zeroPoints,
          inner: tensor.shape[(axis + 1)...].reduce(1, *))
      case nil: meaning = .itself
      }
    default: meaning = .itself
    }
    reader = try plain.makeElementReader(from: start)
  }

  /// The same storage as a tensor of plain numbers: complex as pairs of reals, quantized as
  /// integers.
  private static func plain(_ tensor: Tensor) throws -> Tensor {
    func view(_ type: DType) throws -> Tensor {
      try Tensor(
        storage: tensor.storage, dtype: type, shape: tensor.shape, strides: tensor.strides,
        offset: tensor.offset)
    }
    switch tensor.dtype {
    case .complex32, .complex64, .complex128: return try tensor.viewAsReal()
    case .qint8: return try view(.int8)
    case .quint8: return try view(.uint8)
    case .qint32: return try view(.int32)
    default: return tensor
    }
  }

  /// Fills `numbers` with the next elements.
  ///
  /// - Throws: what reading throws.
  func read(into numbers: inout MutableSpan<Double>) throws {
    switch meaning {
    case .itself: try reader.read(into: &numbers)
    case .magnitude: try readMagnitudes(into: &numbers)
    case .scaled(let scale, let zeroPoint):
      try reader.read(into: &numbers)
      for index in numbers.indices { numbers[index] = (numbers[index] - zeroPoint) * scale }
    case .scaledPerChannel(let scales, let zeroPoints, let inner):
      try reader.read(into: &numbers)
      for index in numbers.indices {
        let channel = (position + index) / inner % scales.count
        numbers[index] = (numbers[index] - zeroPoints[channel]) * scales[channel]
      }
    }
    position += numbers.count
  }

  /// Fills `numbers` with the next elements as pairs of real and imaginary part; the imaginary part
  /// of a real number is 0.
  ///
  /// - Throws: what reading throws.
  func readComplex(into numbers: inout MutableSpan<Double>) throws {
    let count = numbers.count / 2
    guard case .magnitude = meaning else {
      var half = numbers._mutatingExtracting(..<count)
      try read(into: &half)
      for index in (0..<count).reversed() {
        numbers[2 * index] = numbers[index]
        numbers[2 * index + 1] = 0
      }
      return
    }
    try reader.read(into: &numbers)
    position += count
  }

  private func readMagnitudes(into numbers: inout MutableSpan<Double>) throws {
    let count = 2 * numbers.count
    if pairs.count < count { pairs = [Double](repeating: 0, count: count) }
    try pairs.withMutableSpan { pairs in
      var part = pairs._mutatingExtracting(..<count)
      try reader.read(into: &part)
      for index in numbers.indices {
        let (real, imaginary) = (pairs[2 * index], pairs[2 * index + 1])
        // As hypot: an infinite part makes the magnitude infinite, even if the other part is NaN.
        numbers[index] =
          real.isInfinite || imaginary.isInfinite
          ? .infinity : (real * real + imaginary * imaginary).squareRoot()
      }
    }
  }
}
