internal import CkptBytes
public import CkptPlatform

/// An error in creating, reading, or converting a tensor.
public enum TensorError: Diagnostic, Equatable {
  /// Shape and strides do not match, or contain a negative number.
  case badGeometry(String)
  /// The tensor's elements exceed its storage.
  case outsideStorage(storage: String, needed: Int, available: Int)
  /// The number of elements overflows.
  case tooLarge
  /// One or several tensors have too many elements to be read, compared with their storages, since
  /// dimensions have a stride of 0, or the tensors overlap.
  case expandedTooFar(byteCount: Int, storage: Int)
  /// Objects that are the values of several keys have too many tensors to be read for each key.
  case sharedTooOften
  /// The tensor has no elements, because it is on the meta device.
  case noData
  /// The dtypes cannot be converted: one is quantized or packed.
  case noConversion(from: DType, to: DType)

  /// The category of the error, from which `ckpt` takes its exit status.
  public var kind: DiagnosticKind { .badInput }

  /// The place of the error.
  public var context: ErrorContext {
    if case .outsideStorage(let storage, _, _) = self, !storage.isEmpty {
      ErrorContext(record: storage)
    } else {
      ErrorContext()
    }
  }

  /// One line that says what is wrong and where.
  public var description: String {
    switch self {
    case .badGeometry(let problem): problem
    case .outsideStorage(let storage, let needed, let available):
      "the tensor needs \(needed) bytes of its storage, which has \(available)"
        + (storage.isEmpty ? "" : " (record \(storage))")
    case .tooLarge: "the tensor's size is more than can be counted"
    case .expandedTooFar(let byteCount, let storage):
      "\(storage) bytes of storage are shown again and again, as \(byteCount) bytes: too many to be "
        + "gone through"
    case .sharedTooOften:
      "keys share objects with so many tensors that they cannot be gone through for each key"
    case .noData: "the tensor is on the meta device and has no elements"
    case .noConversion(let source, let target):
      "elements of type \(source.name) cannot be converted to \(target.name)"
    }
  }
}

/// The mapping of a quantized tensor's integers `q` to numbers.
public indirect enum Quantization: Sendable {
  /// `scale * (q - zeroPoint)`, with the same parameters for all elements.
  case perTensor(scale: Double, zeroPoint: Int)
  /// `scale * (q - zeroPoint)`, with a scale and an integer zero point for each index of the
  /// dimension `axis`.
  case perChannel(axis: Int, scales: [Double], zeroPoints: [Double])
  /// `scale * (q - zeroPoint)`, with a float32 scale and zero point for each index of the dimension
  /// `axis` (`per_channel_affine_float_qparams`).
  case perChannelFloat(axis: Int, scales: [Double], zeroPoints: [Double])
}

/// The object from which a tensor was read, so that a writer can write it unchanged.
public struct TensorOrigin: Sendable {
  /// The document; compared by identity.
  public let document: any AnyObject & Sendable
  /// The object's number in the document.
  public let node: UInt32

  /// Creates the origin for the object `node` of `document`.
  public init(document: any AnyObject & Sendable, node: UInt32) {
    self.document = document
    self.node = node
  }
}

/// A lazy tensor: a view of a storage with a shape and strides. Its elements are read on demand.
public struct Tensor: Sendable {
  /// The storage that contains the elements.
  public let storage: Storage
  /// The dtype of the elements.
  public let dtype: DType
  /// The sizes of the dimensions, in elements.
  public let shape: [Int]
  /// The distance of neighbors along each dimension in the storage, in elements.
  public let strides: [Int]
  /// The index of the first element in the storage.
  public let offset: Int
  /// PyTorch's `requires_grad`. (Changing this or a following property removes the origin, since
  /// the tensor then differs from the one that was read.)
  public var requiresGrad = false { didSet { origin = nil } }
  /// Whether the tensor is a `torch.nn.Parameter`.
  public var isParameter = false { didSet { origin = nil } }
  /// Whether the tensor is a view that conjugates the stored numbers.
  public var isConjugate = false { didSet { origin = nil } }
  /// Whether the tensor is a view that negates the stored numbers.
  public var isNegative = false { didSet { origin = nil } }
  /// The parameters of a quantized tensor; nil for other tensors.
  public var quantization: Quantization? { didSet { origin = nil } }
  /// Whether the tensor is on the meta device and has no elements.
  public let isMeta: Bool
  /// The object from which the tensor was read, which a writer writes unchanged; nil for a new
  /// tensor.
  public var origin: TensorOrigin?

  /// The maximum number of dimensions, as in safetensors.
  static let rankLimit = 1024
  /// The maximum number of elements, and of those between the storage's first and the tensor's
  /// last, so that what is computed from them (bytes, the parts of complex numbers, the end of a
  /// dimension) does not overflow.
  private static let reachLimit = Int.max >> 6

  /// Creates a view of `storage`. Without `strides` it is contiguous.
  ///
  /// - Throws: `TensorError` unless every element is in the storage.
  public init(
    storage: Storage, dtype: DType, shape: [Int], strides: [Int]? = nil,
    offset: Int = 0, isMeta: Bool = false
  ) throws(TensorError) {
    guard shape.count <= Self.rankLimit else {
      throw .badGeometry(
        "the tensor has \(shape.count) dimensions; at most \(Self.rankLimit) are supported")
    }
    guard let natural = Self.contiguousStrides(for: shape) else { throw .tooLarge }
    let strides = strides ?? natural
    guard strides.count == shape.count else {
      throw .badGeometry("the tensor has \(shape.count) dimensions and \(strides.count) strides")
    }
    guard offset >= 0, shape.allSatisfy({ $0 >= 0 }), strides.allSatisfy({ $0 >= 0 }) else {
      throw .badGeometry("the tensor has a negative size, stride or offset")
    }
    // The last element, and one step beyond the end of every dimension, even if it is empty or has
    // one element and its stride means nothing.
    var (last, end) = (offset, offset)
    for (size, stride) in zip(shape, strides) {
      let (step, overflow) = max(size, 1).multipliedReportingOverflow(by: stride)
      let (sum, carry) = end.addingReportingOverflow(step)
      guard !overflow, !carry, sum <= Self.reachLimit else { throw .tooLarge }
      end = sum
      last += step - stride
    }
    // With strides of 0, a tensor may have more elements than its storage, but their number must
    // not overflow.
    guard end <= Self.reachLimit, let total = Self.product(shape), total <= Self.reachLimit,
      dtype.byteCount(ofElements: total) != nil
    else { throw .tooLarge }
    guard let needed = dtype.byteCount(ofElements: shape.contains(0) ? 0 : last + 1) else {
      throw .tooLarge
    }
    // PyTorch does not support strides for packed types.
    guard dtype.elementsPerByte == 1 || Self.isContiguous(shape, strides) else {
      throw .badGeometry("a tensor of \(dtype.name) is not contiguous")
    }
    guard isMeta || needed <= storage.byteCount else {
      throw .outsideStorage(storage: storage.name, needed: needed, available: storage.byteCount)
    }
    self.storage = storage
    self.dtype = dtype
    self.shape = shape
    self.strides = strides
    self.offset = offset
    self.isMeta = isMeta
  }

  /// The number of elements.
  public var elementCount: Int { shape.reduce(1, *) }

  /// The number of bytes of the elements without gaps.
  public var byteCount: Int { dtype.byteCount(ofElements: elementCount) ?? 0 }

  /// Whether the elements are in row-major order without gaps.
  public var isContiguous: Bool { Self.isContiguous(shape, strides) }

  private static func isContiguous(_ shape: [Int], _ strides: [Int]) -> Bool {
    if shape.contains(0) { return true }
    var expected = 1
    for (size, stride) in zip(shape, strides).reversed() where size != 1 {
      if stride != expected { return false }
      expected *= size
    }
    return true
  }

  /// The strides of a contiguous tensor of the given shape, in elements; nil if they overflow.
  public static func contiguousStrides(for shape: [Int]) -> [Int]? {
    var strides = [Int](repeating: 1, count: shape.count)
    var step = 1
    for dimension in shape.indices.reversed() {
      strides[dimension] = step
      let (next, overflow) = step.multipliedReportingOverflow(by: max(shape[dimension], 1))
      if overflow { return nil }
      step = next
    }
    return strides
  }

  private static func product(_ shape: [Int]) -> Int? {
    if shape.contains(0) { return 0 }
    var count = 1
    for size in shape {
      let (next, overflow) = count.multipliedReportingOverflow(by: size)
      if overflow { return nil }
      count = next
    }
    return count
  }

  /// Reads the elements' bytes in row-major order, little-endian, whatever the strides.
  ///
  /// The bits are those in the storage: conjugate and negative views are not resolved.
  ///
  /// - Throws: `TensorError.noData` for a meta tensor; what reading throws.
  public func contiguousBytes() throws -> [UInt8] {
    guard !isMeta else { throw TensorError.noData }
    let width = dtype.byteCount
    if isContiguous { return try contiguousSource().allBytes() }
    let reach = zip(shape, strides).reduce(1) { $0 + ($1.0 - 1) * $1.1 }
    let span = try storage.bytes(in: offset * width..<(offset + reach) * width)
    var bytes: [UInt8] = []
    bytes.reserveCapacity(byteCount)
    var index = [Int](repeating: 0, count: shape.count)
    var position = 0
    for _ in 0..<elementCount {
      bytes += span[position * width..<(position + 1) * width]
      var dimension = shape.count - 1
      while dimension >= 0 {
        index[dimension] += 1
        position += strides[dimension]
        if index[dimension] < shape[dimension] { break }
        position -= strides[dimension] * shape[dimension]
        index[dimension] = 0
        dimension -= 1
      }
    }
    return bytes
  }
}

extension Tensor {
  /// Creates a tensor with the given elements in row-major order.
  ///
  /// - Throws: `TensorError.badGeometry` if the number of elements is not the product of the shape.
  public init(_ values: [Float], shape: [Int]) throws(TensorError) {
    try self.init(bits: values.map(\.bitPattern), .float32, shape)
  }

  /// Creates a tensor with the given elements in row-major order.
  ///
  /// - Throws: `TensorError.badGeometry` if the number of elements is not the product of the shape.
  public init(_ values: [Double], shape: [Int]) throws(TensorError) {
    try self.init(bits: values.map(\.bitPattern), .float64, shape)
  }

  /// Creates a tensor with the given elements in row-major order.
  ///
  /// - Throws: `TensorError.badGeometry` if the number of elements is not the product of the shape.
  public init(_ values: [Int64], shape: [Int]) throws(TensorError) {
    try self.init(bits: values, .int64, shape)
  }

  private init(
    bits: [some FixedWidthInteger], _ dtype: DType, _ shape: [Int]
  ) throws(TensorError) {
    var bytes: [UInt8] = []
    for value in bits { bytes.append(littleEndian: value) }
    guard Self.product(shape) == bits.count else {
      throw .badGeometry("\(bits.count) values do not fill the shape \(shape)")
    }
    try self.init(storage: Storage(bytes: bytes), dtype: dtype, shape: shape)
  }

  /// Reads the elements as float32 in row-major order; other types are rounded to nearest.
  ///
  /// - Throws: `TensorError.noData` for a meta tensor; `TensorError.noConversion` for complex and
  ///   quantized types; what reading throws.
  public func floats() throws -> [Float] {
    let isPlain = dtype == .float32 && !isNegative && quantization == nil
    guard quantization == nil, !dtype.isComplex else {
      throw TensorError.noConversion(from: dtype, to: .float32)
    }
    let bytes = try isPlain ? contiguousBytes() : converting(to: .float32).contiguousBytes()
    return stride(from: 0, to: bytes.count, by: 4).map { start in
      Float(bitPattern: UInt32(littleEndian: bytes[start..<start + 4]))
    }
  }
}

extension Tensor {
  /// The value of a 16-bit float (IEEE 754 binary16), on all platforms.
  package static func double(fromHalf bits: UInt16) -> Double {
    let sign: Double = bits >> 15 == 1 ? -1 : 1
    let exponent = Int(bits >> 10 & 31)
    let fraction = Double(bits & 1023) / 1024
    switch exponent {
    case 0: return sign * fraction * 0x1p-14
    case 31: return bits & 1023 == 0 ? sign * .infinity : .nan
    default:
      return sign * (1 + fraction) * Double(sign: .plus, exponent: exponent - 15, significand: 1)
    }
  }
}
