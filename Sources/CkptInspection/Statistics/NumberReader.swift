internal import CkptPlatform
internal import CkptTensors

/// Goes through a tensor's elements as real numbers, whatever its type.
///
/// A complex number counts by its magnitude, a quantized one by what it stands for.
final class NumberReader {
  private let reader: ElementReader
  private let meaning: Meaning
  /// How many elements were read so far.
  private var position: Int
  private var pairs: [Double] = []

  private enum Meaning {
    case itself
    case magnitude
    case scaled(Double, Double)
    case scaledPerChannel(scales: [Double], zeroPoints: [Double], inner: Int)
  }

  /// How many numbers `read` is best asked for at a time.
  static let blockSize = 4096

  /// Whether the tensor's elements are numbers that can be read.
  static func canRead(_ tensor: Tensor) -> Bool {
    guard !tensor.isMeta, let plain = try? plain(tensor) else { return false }
    return ElementConversion.isSupported(from: plain.dtype, to: .float64)
  }

  /// Starts at the element `start`, in row-major order.
  ///
  /// - Throws: `TensorError.noConversion` for types that are no numbers, `TensorError.noData`.
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

  /// The same bits as elements of a type whose numbers they are.
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

  /// Fills `numbers` with the next ones.
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

  /// Fills `numbers` with the next complex numbers, two parts each; a real number's second part is 0.
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
        // As hypot: an infinite part makes it infinite, whatever the other is.
        numbers[index] =
          real.isInfinite || imaginary.isInfinite
          ? .infinity : (real * real + imaginary * imaginary).squareRoot()
      }
    }
  }
}
