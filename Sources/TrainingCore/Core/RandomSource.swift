internal import Foundation
internal import Synchronization

/// A source of pseudorandom numbers that are the same for a seed on every platform (SplitMix64;
/// Steele et al., 2014): the counterpart of `torch.Generator`, with other numbers.
public final class RandomSource: Sendable {
  private let current: Mutex<UInt64>

  /// The source that is used unless another is given; its seed is 0 until ``manualSeed(_:)`` is
  /// called.
  public static let shared = RandomSource(seed: 0)

  /// A source with a seed.
  public init(seed: UInt64) { current = Mutex(seed) }

  /// Starts again from a seed: `torch.manual_seed`.
  public func manualSeed(_ seed: UInt64) { state = seed }

  /// The state, from which all further numbers follow: `torch.get_rng_state` and
  /// `torch.set_rng_state`. A source that is given the state of another goes on as that one would.
  public var state: UInt64 {
    get { current.withLock { $0 } }
    set { current.withLock { $0 = newValue } }
  }

  /// The next 64 random bits.
  public func next() -> UInt64 {
    current.withLock { state in
      state &+= 0x9E37_79B9_7F4A_7C15
      return SplitMix.mixed(state)
    }
  }

  /// Numbers from the standard normal distribution.
  func normals(_ count: Int) -> [Double] {
    var random = SplitMix(state: next())
    return (0..<count).map { _ in random.normal() }
  }

  /// A random permutation of the integers from 0 to `count - 1`: `torch.randperm`.
  public func permutation(_ count: Int) -> [Int] {
    var random = SplitMix(state: next())
    return Array(0..<max(count, 0)).shuffled(using: &random)
  }
}

/// SplitMix64, for one sequence of numbers.
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

  /// From the uniform distribution over [0, 1).
  mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }

  /// From the standard normal distribution, by the Box–Muller transform.
  mutating func normal() -> Double {
    let radius = (-2 * Foundation.log(1 - uniform())).squareRoot()
    return radius * Foundation.cos(2 * .pi * uniform())
  }
}
