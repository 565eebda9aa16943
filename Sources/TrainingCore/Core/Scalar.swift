internal import Foundation
public import TensorStore

/// What the elements of a ``Variable`` are.
public enum ScalarType: String, Sendable, CaseIterable {
  /// The type that is trained in.
  case float32
  /// For gradient checks.
  case float64
  /// Class numbers, token numbers, counters.
  case int64
  /// Masks; one byte an element.
  case bool

  /// How many bytes one element takes.
  public var byteCount: Int {
    switch self {
    case .float64, .int64: 8
    case .float32: 4
    case .bool: 1
    }
  }

  /// Whether numbers of this type can have gradients.
  public var isFloatingPoint: Bool { self == .float32 || self == .float64 }

  /// The same type in a file.
  public var elementType: ElementType {
    switch self {
    case .float32: .float32
    case .float64: .float64
    case .int64: .int64
    case .bool: .bool
    }
  }
}

/// The floating-point types that are computed in.
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
