/// Random numbers that depend on a seed, an epoch, and a sample's index only, not on the thread.
///
/// The generator is SplitMix64 (Steele, Lea, Flood, 2014). Its initial state is
/// `mix(mix(mix(seed) + epoch) + index)`, where `mix` is one step of the generator from that state
/// and sums are modulo 2^64. `index` is -1 for the order of an epoch, -2 for a split, and -3 and
/// below for mixup.
public struct ImageRandom: RandomNumberGenerator, Sendable {
  private var state: UInt64

  /// Creates the generator for one sample in one epoch.
  public init(seed: UInt64, epoch: Int, index: Int) {
    var state = seed
    for value in [epoch, index] {
      state = Self.step(&state) &+ UInt64(bitPattern: Int64(value))
    }
    self.state = Self.step(&state)
  }

  private static func step(_ state: inout UInt64) -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var bits = state
    bits = (bits ^ (bits >> 30)) &* 0xBF58_476D_1CE4_E5B9
    bits = (bits ^ (bits >> 27)) &* 0x94D0_49BB_1331_11EB
    return bits ^ (bits >> 31)
  }

  /// The next 64 bits.
  public mutating func next() -> UInt64 { Self.step(&state) }

  /// A uniform number in [0, 1): the upper 53 bits of the next 64.
  public mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }

  /// A uniform number in [`low`, `high`).
  public mutating func uniform(_ low: Double, _ high: Double) -> Double {
    low + (high - low) * unit()
  }

  /// A uniform integer in [0, `count`): the upper half of the product of the next 64 bits and
  /// `count`, redrawn if the lower half is below `2^64 mod count`.
  public mutating func below(_ count: Int) -> Int {
    guard count > 1 else { return 0 }
    let bound = UInt64(count)
    let least = (0 &- bound) % bound
    while true {
      let (high, low) = next().multipliedFullWidth(by: bound)
      if low >= least { return Int(high) }
    }
  }

  /// A number from the standard normal distribution (the cosine branch of the Box-Muller
  /// transform).
  mutating func normal() -> Double {
    let radius = (-2 * Logarithm.natural(1 - unit())).squareRoot()
    return radius * Logarithm.cosineOfTurn(unit())
  }

  /// The integers in [0, `count`) in a random order (Fisher-Yates shuffle, from the end).
  public mutating func permutation(_ count: Int) -> [Int] {
    var order = Array(0..<max(0, count))
    guard count > 1 else { return order }
    for place in stride(from: count - 1, to: 0, by: -1) {
      order.swapAt(place, below(place + 1))
    }
    return order
  }
}
