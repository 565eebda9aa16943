internal import Foundation
public import CkptTensors

/// The element type of a ``Variable``, `torch.dtype`.
public enum ScalarType: String, Sendable, CaseIterable {
  /// The type for training; 4 bytes.
  case float32
  /// The type for gradient checks; 8 bytes.
  case float64
  /// The type for class and token indices and counters; 8 bytes.
  case int64
  /// The type for masks; 1 byte.
  case bool

  /// The size of an element in bytes.
  public var byteCount: Int {
    switch self {
    case .float64, .int64: 8
    case .float32: 4
    case .bool: 1
    }
  }

  /// Whether variables of this type can require gradients.
  public var isFloatingPoint: Bool { self == .float32 || self == .float64 }

  /// The same type for tensors of checkpoints.
  public var dtype: DType {
    switch self {
    case .float32: .float32
    case .float64: .float64
    case .int64: .int64
    case .bool: .bool
    }
  }
}

/// The floating-point types in which operations compute.
protocol Scalar: BinaryFloatingPoint, Sendable {
  static var scalarType: ScalarType { get }
  static func exp(_ x: Self) -> Self
  static func log(_ x: Self) -> Self
  static func tanh(_ x: Self) -> Self
  static func erf(_ x: Self) -> Self
  static func log1p(_ x: Self) -> Self
}

extension Float: Scalar {
  static var scalarType: ScalarType { .float32 }
  static func exp(_ x: Float) -> Float { Foundation.exp(x) }
  static func log(_ x: Float) -> Float { Foundation.log(x) }
  static func tanh(_ x: Float) -> Float { Foundation.tanh(x) }
  static func erf(_ x: Float) -> Float { Foundation.erf(x) }
  static func log1p(_ x: Float) -> Float { Foundation.log1p(x) }
}

extension Double: Scalar {
  static var scalarType: ScalarType { .float64 }
  static func exp(_ x: Double) -> Double { Foundation.exp(x) }
  static func log(_ x: Double) -> Double { Foundation.log(x) }
  static func tanh(_ x: Double) -> Double { Foundation.tanh(x) }
  static func erf(_ x: Double) -> Double { Foundation.erf(x) }
  static func log1p(_ x: Double) -> Double { Foundation.log1p(x) }
}
