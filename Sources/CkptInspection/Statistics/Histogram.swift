internal import CkptPlatform

/// A histogram of finite numbers; the bin edges are multiples of a power of two.
public struct Histogram: Sendable, Hashable {
  /// The lower edge of the first bin.
  public let low: Double
  /// The width of a bin, a power of two.
  public let width: Double
  /// The number of values in each bin: at or above its lower edge, and below the next bin's.
  public let counts: [Int]

  /// The histogram of numbers that each occur so many times.
  func repeated(_ times: Int) -> Histogram {
    Histogram(low: low, width: width, counts: counts.map { $0 * times })
  }
}

/// Collects numbers for a histogram.
///
/// The bin width doubles when a number lies outside the range. Bins of a larger width consist of
/// whole bins of a smaller one, so the counts do not depend on the order of the numbers.
struct HistogramTally: Sendable {
  /// Half of the number of bins; enough to separate numbers that lie close together and far from 0.
  private static let half = 2048
  /// The smallest exponent of the width; smaller numbers all fall into one bin.
  private static let leastExponent = -1000

  /// The exponent of the bin width; nil before the first number.
  private var exponent: Int?
  private var counts = [Int](repeating: 0, count: 2 * half)

  /// The histogram from the lowest to the highest bin that is not empty, joined to at most `limit`
  /// bins.
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

  /// Counts finite numbers whose magnitude is at most `reach`.
  mutating func add(_ numbers: Span<Double>, reach: Double) {
    guard !numbers.isEmpty else { return }
    widen(to: reach == 0 ? Self.leastExponent : max(Int(reach.exponent) - 10, Self.leastExponent))
    let scale = Double(sign: .plus, exponent: -(exponent ?? 0), significand: 1)
    counts.withMutableSpan { counts in
      for index in numbers.indices {
        let number = numbers[index]
        var bin = Int((number * scale).rounded(.down))
        // A negative number whose quotient rounds to zero is still below 0.
        if number < 0, bin == 0 { bin = -1 }
        counts[bin + Self.half] += 1
      }
    }
  }

  /// Adds the counts of another tally.
  mutating func add(_ other: HistogramTally) {
    guard let exponent = other.exponent else { return }
    var other = other
    widen(to: exponent)
    other.widen(to: self.exponent ?? exponent)
    for index in counts.indices { counts[index] += other.counts[index] }
  }

  /// Increases the width to the exponent `wanted`, joining bins.
  private mutating func widen(to wanted: Int) {
    guard let current = exponent else {
      exponent = wanted
      return
    }
    guard wanted > current else { return }
    // For larger shifts, every bin becomes the one just below or just above 0.
    let shift = min(wanted - current, 62)
    var joined = [Int](repeating: 0, count: 2 * Self.half)
    for (index, count) in counts.enumerated() where count > 0 {
      joined[((index - Self.half) >> shift) + Self.half] += count
    }
    counts = joined
    exponent = wanted
  }
}
