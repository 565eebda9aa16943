/// The type of a tensor's elements; the names are those of `torch.dtype`.
public enum DType: String, Sendable, Hashable, CaseIterable {
  case float64, float32, float16, bfloat16
  case float8E4M3FN = "float8_e4m3fn"
  case float8E5M2 = "float8_e5m2"
  case float8E4M3FNUZ = "float8_e4m3fnuz"
  case float8E5M2FNUZ = "float8_e5m2fnuz"
  case float8E8M0FNU = "float8_e8m0fnu"
  /// Two 4-bit floating-point numbers, which together are one element of one byte.
  case float4E2M1FNx2 = "float4_e2m1fn_x2"
  case int8, int16, int32, int64
  case uint8, uint16, uint32, uint64
  case bool
  case complex32, complex64, complex128
  case qint8, quint8, qint32
  /// Quantized, with two elements per byte.
  case quint4x2
  /// Quantized, with four elements per byte.
  case quint2x4
  case bits8, bits16
  case int1, int2, int3, int4, int5, int6, int7
  case uint1, uint2, uint3, uint4, uint5, uint6, uint7

  /// PyTorch's name, without the prefix `torch.`.
  public var name: String { rawValue }

  /// The type with the given name in PyTorch; nil if there is none.
  public init?(name: String) { self.init(rawValue: name) }

  /// The number of bytes of an element; 1 for the packed types.
  public var byteCount: Int {
    switch self {
    case .complex128: 16
    case .float64, .int64, .uint64, .complex64: 8
    case .float32, .int32, .uint32, .qint32, .complex32: 4
    case .float16, .bfloat16, .int16, .uint16, .bits16: 2
    default: 1
    }
  }

  /// The number of elements in a byte for packed types; 1 for all others.
  public var elementsPerByte: Int {
    switch self {
    case .quint4x2: 2
    case .quint2x4: 4
    default: 1
    }
  }

  /// The number of bytes that are reversed together when the byte order changes: half of a complex
  /// number.
  public var componentByteCount: Int {
    switch self {
    case .complex32, .complex64, .complex128: byteCount / 2
    default: byteCount
    }
  }

  /// The number of bytes of `count` elements; nil if it overflows.
  public func byteCount(ofElements count: Int) -> Int? {
    if elementsPerByte > 1 {
      return count / elementsPerByte + (count % elementsPerByte == 0 ? 0 : 1)
    }
    let (bytes, overflow) = count.multipliedReportingOverflow(by: byteCount)
    return overflow ? nil : bytes
  }
}
