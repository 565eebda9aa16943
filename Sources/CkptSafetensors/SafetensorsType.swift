package import CkptTensors

/// The element types of safetensors files; the raw values are the names in the header.
///
/// The cases are in the order of the reference implementation (safetensors 0.8.0, `Dtype`), which
/// sorts by it.
package enum SafetensorsType: String, Sendable, CaseIterable, Comparable {
  case bool = "BOOL"
  case float4 = "F4"
  case float6E2M3 = "F6_E2M3"
  case float6E3M2 = "F6_E3M2"
  case uint8 = "U8"
  case int8 = "I8"
  case float8E5M2 = "F8_E5M2"
  case float8E4M3 = "F8_E4M3"
  case float8E8M0 = "F8_E8M0"
  case float8E4M3FNUZ = "F8_E4M3FNUZ"
  case float8E5M2FNUZ = "F8_E5M2FNUZ"
  case int16 = "I16"
  case uint16 = "U16"
  case float16 = "F16"
  case bfloat16 = "BF16"
  case int32 = "I32"
  case uint32 = "U32"
  case float32 = "F32"
  case complex64 = "C64"
  case float64 = "F64"
  case int64 = "I64"
  case uint64 = "U64"

  /// Compares by the order of the reference implementation.
  package static func < (left: Self, right: Self) -> Bool { left.rank < right.rank }

  private var rank: Int { Self.allCases.firstIndex(of: self) ?? 0 }

  /// The number of bits of an element.
  package var bitCount: Int {
    switch self {
    case .float4: 4
    case .float6E2M3, .float6E3M2: 6
    case .bool, .uint8, .int8, .float8E5M2, .float8E4M3, .float8E8M0, .float8E4M3FNUZ,
      .float8E5M2FNUZ:
      8
    case .int16, .uint16, .float16, .bfloat16: 16
    case .int32, .uint32, .float32: 32
    case .complex64, .float64, .int64, .uint64: 64
    }
  }

  /// The dtype in PyTorch; nil for the 6-bit floats, which it does not support. An element of the
  /// dtype for `F4` has two of these elements.
  package var dtype: DType? {
    switch self {
    case .bool: .bool
    case .float4: .float4E2M1FNx2
    case .float6E2M3, .float6E3M2: nil
    case .uint8: .uint8
    case .int8: .int8
    case .float8E5M2: .float8E5M2
    case .float8E4M3: .float8E4M3FN
    case .float8E8M0: .float8E8M0FNU
    case .float8E4M3FNUZ: .float8E4M3FNUZ
    case .float8E5M2FNUZ: .float8E5M2FNUZ
    case .int16: .int16
    case .uint16: .uint16
    case .float16: .float16
    case .bfloat16: .bfloat16
    case .int32: .int32
    case .uint32: .uint32
    case .float32: .float32
    case .complex64: .complex64
    case .float64: .float64
    case .int64: .int64
    case .uint64: .uint64
    }
  }

  private static let byElementType: [DType: SafetensorsType] = Dictionary(
    uniqueKeysWithValues: allCases.compactMap { type in type.dtype.map { ($0, type) } })

  /// The type for a dtype of PyTorch; nil if the format does not support it.
  package init?(_ dtype: DType) {
    guard let type = Self.byElementType[dtype] else { return nil }
    self = type
  }
}
