internal import Foundation
internal import Synchronization

/// Random numbers that a seed determines, on every platform (SplitMix64).
public final class RandomSource: Sendable {
  private let state: Mutex<UInt64>

  /// What is used unless another source is given; seeded with 0 until ``seed(_:)`` is called.
  public static let shared = RandomSource(seed: 0)

  /// The source of that seed.
  public init(seed: UInt64) { state = Mutex(seed) }

  /// Starts anew from a seed.
  public func seed(_ seed: UInt64) { state.withLock { $0 = seed } }

  /// The next 64 bits.
  public func next() -> UInt64 {
    state.withLock { state in
      state &+= 0x9E37_79B9_7F4A_7C15
      return SplitMix.mixed(state)
    }
  }

  /// Numbers from the normal distribution (mean 0, deviation 1).
  func normals(_ count: Int) -> [Double] {
    var random = SplitMix(state: next())
    return (0..<count).map { _ in random.normal() }
  }

  /// A permutation of the numbers below `count`.
  public func permutation(_ count: Int) -> [Int] {
    var random = SplitMix(state: next())
    return Array(0..<max(count, 0)).shuffled(using: &random)
  }
}

/// The generator for one run of numbers.
struct SplitMix: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    return Self.mixed(state)
  }

  static func mixed(_ state: UInt64) -> UInt64 {
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// Evenly spread over [0, 1).
  mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }

  /// From the normal distribution, by Box and Muller.
  mutating func normal() -> Double {
    let radius = (-2 * Foundation.log(1 - uniform())).squareRoot()
    return radius * Foundation.cos(2 * .pi * uniform())
  }
}
