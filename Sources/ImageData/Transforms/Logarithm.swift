#if canImport(Darwin)
  internal import Darwin
#elseif canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#endif

/// The C library's functions that random transforms use.
enum Logarithm {
  static func natural(_ value: Double) -> Double { log(value) }
  static func exponential(_ value: Double) -> Double { exp(value) }
  /// The cosine of a fraction of a full turn.
  static func cosineOfTurn(_ part: Double) -> Double { cos(2 * .pi * part) }
}
