internal import CkptPlatform

/// How often finite numbers fall between neighboring multiples of a power of two.
public struct Histogram: Sendable, Hashable {
  /// Where the first bin begins.
  public let low: Double
  /// How wide a bin is: a power of two.
  public let width: Double
  /// How many numbers each bin holds: those not below its begin, and below the next one's.
  public let counts: [Int]
}

/// Counts numbers for a histogram.
///
/// The width doubles when a number comes that lies too far out; widths nest, so the counts do not depend on the
/// order in which numbers come.
struct HistogramTally: Sendable {
  /// A half of the bins: numbers that lie together far from 0 are still told apart.
  private static let half = 2048
  /// Widths below this are not needed: where numbers are so small, they are one bar.
  private static let leastExponent = -1000

  /// The width's exponent; nil before the first number.
  private var exponent: Int?
  private var counts = [Int](repeating: 0, count: 2 * half)

  /// The bins from the lowest to the highest that holds a number, joined so that there are at most `limit`.
  ///
  /// - Returns: nil if no number was counted.
  func histogram(atMost limit: Int = 48) -> Histogram? {
    guard let exponent, let first = counts.firstIndex(where: { $0 > 0 }),
      let last = counts.lastIndex(where: { $0 > 0 })
    else { return nil }
    var shift = 0
    let (low, high) = (first - Self.half, last - Self.half)
    while (high >> shift) - (low >> shift) >= max(limit, 1) { shift += 1 }
    var joined = [Int](repeating: 0, count: (high >> shift) - (low >> shift) + 1)
    for index in first...last {
      joined[((index - Self.half) >> shift) - (low >> shift)] += counts[index]
    }
    let width = Double(sign: .plus, exponent: exponent + shift, significand: 1)
    return Histogram(low: Double(low >> shift) * width, width: width, counts: joined)
  }

  /// Counts finite numbers, none of which lies farther from 0 than `reach`.
  mutating func add(_ numbers: Span<Double>, reach: Double) {
    guard !numbers.isEmpty else { return }
    widen(to: reach == 0 ? Self.leastExponent : max(Int(reach.exponent) - 10, Self.leastExponent))
    let scale = Double(sign: .plus, exponent: -(exponent ?? 0), significand: 1)
    counts.withMutableSpan { counts in
      for index in numbers.indices {
        let number = numbers[index]
        var bin = Int((number * scale).rounded(.down))
        // A negative number that is too small for its quotient is still below 0.
        if number < 0, bin == 0 { bin = -1 }
        counts[bin + Self.half] += 1
      }
    }
  }

  /// Adds what another one has counted.
  mutating func add(_ other: HistogramTally) {
    guard let exponent = other.exponent else { return }
    var other = other
    widen(to: exponent)
    other.widen(to: self.exponent ?? exponent)
    for index in counts.indices { counts[index] += other.counts[index] }
  }

  private mutating func widen(to wanted: Int) {
    guard let current = exponent else {
      exponent = wanted
      return
    }
    guard wanted > current else { return }
    // Beyond this, every bin is the one below or the one above 0.
    let shift = min(wanted - current, 62)
    var joined = [Int](repeating: 0, count: 2 * Self.half)
    for (index, count) in counts.enumerated() where count > 0 {
      joined[((index - Self.half) >> shift) + Self.half] += count
    }
    counts = joined
    exponent = wanted
  }
}
