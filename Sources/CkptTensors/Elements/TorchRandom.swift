/// The random number generator of PyTorch on a CPU (MT19937), with the same numbers as after
/// `torch.manual_seed(seed)`.
package struct TorchRandom: Sendable {
  private var words: [UInt32]
  private var position = 624

  /// Creates the generator with a seed. As in PyTorch, only the lower 32 bits are used.
  package init(seed: UInt64) {
    words = [UInt32(truncatingIfNeeded: seed)]
    words.reserveCapacity(624)
    for index in 1..<624 {
      let last = words[index - 1]
      words.append(1_812_433_253 &* (last ^ (last >> 30)) &+ UInt32(index))
    }
  }

  /// The next 32 bits.
  package mutating func next32() -> UInt32 {
    if position == 624 { refill() }
    var bits = words[position]
    position += 1
    bits ^= bits >> 11
    bits ^= (bits << 7) & 0x9D2C_5680
    bits ^= (bits << 15) & 0xEFC6_0000
    return bits ^ (bits >> 18)
  }

  /// Skips `count` numbers of 32 bits.
  package mutating func skip(_ count: Int) {
    var rest = count
    while rest > 0 {
      if position == 624 { refill() }
      let step = min(rest, 624 - position)
      position += step
      rest -= step
    }
  }

  private mutating func refill() {
    for index in 0..<624 {
      let next = words[index + 1 == 624 ? 0 : index + 1]
      let bits = (words[index] & 0x8000_0000) | (next & 0x7FFF_FFFF)
      let far = words[index + 397 < 624 ? index + 397 : index - 227]
      words[index] = far ^ (bits >> 1) ^ (bits & 1 == 1 ? 0x9908_B0DF : 0)
    }
    position = 0
  }

  /// The next number of `tensor.uniform_(low, high)` for a float32 tensor: at least `low` and below
  /// `high`.
  package mutating func uniform(_ low: Float, _ high: Float) -> Float {
    let share = Double(next32() & 0xFF_FFFF) * 0x1p-24
    return Float(share * Double(high - low) + Double(low))
  }
}
