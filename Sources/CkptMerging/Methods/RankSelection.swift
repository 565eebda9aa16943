internal import CkptBytes
internal import CCkptKernels
internal import CkptPlatform

/// Finds numbers by their rank in an order that is never made: by counting, in two passes, with bounded memory.
///
/// The numbers are not negative, given as the bits of float32, which order as the numbers do. The first pass counts
/// the upper 16 bits of each, the second the lower 15 of those that may be meant.
struct RankSelection {
  /// The number of some rank.
  struct Found: Sendable {
    /// Its bits.
    let bits: UInt32
    /// How many are less.
    let below: Int
    /// How many are the same.
    let equal: Int
  }

  private var upper: [UInt64]
  private var lower: [(bucket: UInt32, below: Int, ranks: [Int], counts: [UInt64])] = []
  /// The ranks whose numbers will be found; fixed once the second pass begins.
  var ranks: [Int]

  /// Will find the numbers of `ranks`, counted from 0 for the least.
  init(ranks: [Int]) {
    self.ranks = ranks
    upper = [UInt64](repeating: 0, count: 1 << 16)
  }

  /// Counts numbers in the first pass.
  mutating func countFirst(_ bits: UnsafePointer<UInt32>, _ count: Int) {
    upper.withUnsafeMutableBufferPointer { counts in
      guard let counts = counts.baseAddress else { return }
      ck_count_upper_bits(bits, counts, count)
    }
  }

  /// Ends the first pass: sees which numbers must be looked at closer.
  mutating func beginSecond() {
    var below = 0
    for (bucket, count) in upper.enumerated() where count > 0 {
      let inside = ranks.filter { $0 >= below && $0 < below + Int(count) }
      if !inside.isEmpty {
        lower.append((UInt32(bucket), below, inside, [UInt64](repeating: 0, count: 1 << 15)))
      }
      below += Int(count)
    }
  }

  /// Counts the same numbers in the second pass.
  mutating func countSecond(_ bits: UnsafePointer<UInt32>, _ count: Int) {
    for index in lower.indices {
      let bucket = lower[index].bucket
      lower[index].counts.withUnsafeMutableBufferPointer { counts in
        guard let counts = counts.baseAddress else { return }
        ck_count_lower_bits(bits, bucket, counts, count)
      }
    }
  }

  /// The number of a rank that was asked for, after both passes.
  func found(rank: Int) -> Found? {
    for (bucket, start, ranks, counts) in lower where ranks.contains(rank) {
      var below = start
      for (low, count) in counts.enumerated() {
        if rank < below + Int(count) {
          return Found(bits: bucket << 15 | UInt32(low), below: below, equal: Int(count))
        }
        below += Int(count)
      }
    }
    return nil
  }
}

/// Which elements stay, by the size of a number that belongs to each.
struct KeepRule: Sendable {
  /// The bits of the least and the largest number whose elements stay.
  let low, high: UInt32
  /// Where not all elements with one of these numbers stay: which, counted in the tensor's order.
  private(set) var ties: [Ties] = []

  /// A number of which only some elements stay.
  struct Ties: Sendable {
    let bits: UInt32
    let kept: Range<Int>
    /// For each block, how many elements with that number come before it.
    var before: [UInt64] = []
    fileprivate var seen: UInt64 = 0
  }

  /// All elements stay.
  static let all = KeepRule(low: 0, high: .max)
  /// No element stays.
  static let none = KeepRule(low: .max, high: 0)

  private init(low: UInt32, high: UInt32) {
    self.low = low
    self.high = high
  }

  /// Those whose rank lies in `ranks` stay; of equal numbers the ones that come first have the lower rank.
  ///
  /// With `prefersEarlier`, of the numbers at the lower end the ones that come first stay.
  init(_ ranks: Range<Int>, prefersEarlier: Bool, _ selection: RankSelection) {
    guard let least = selection.found(rank: ranks.lowerBound),
      let largest = selection.found(rank: ranks.upperBound - 1)
    else {
      self = .none
      return
    }
    self.init(low: least.bits, high: largest.bits)
    var ranges: [(RankSelection.Found, Range<Int>)] = []
    if least.bits == largest.bits {
      let first = ranks.lowerBound - least.below
      ranges = [(least, prefersEarlier ? 0..<ranks.count : first..<first + ranks.count)]
    } else {
      let first = ranks.lowerBound - least.below
      ranges = [
        (least, prefersEarlier ? 0..<least.equal - first : first..<least.equal),
        (largest, 0..<ranks.upperBound - largest.below),
      ]
    }
    ties = ranges.filter { $0.1 != 0..<$0.0.equal }.map { Ties(bits: $0.0.bits, kept: $0.1) }
  }

  /// Whether blocks must pass by in order once before any is kept from.
  var needsPass: Bool { !ties.isEmpty }

  /// Notes a block's ties, in order, and keeps from its values.
  mutating func keepInOrder(
    _ values: UnsafeMutablePointer<Double>, _ bits: UnsafePointer<UInt32>, _ count: Int
  ) {
    if low > 0 || high < .max { ck_keep_between(values, bits, low, high, count) }
    for index in ties.indices {
      ties[index].before.append(ties[index].seen)
      ties[index].seen = ck_keep_ties(
        values, bits, ties[index].bits, ties[index].seen, UInt64(ties[index].kept.lowerBound),
        UInt64(ties[index].kept.upperBound), count)
    }
  }

  /// Keeps from the values of block number `block`.
  func keep(
    _ values: UnsafeMutablePointer<Double>, _ bits: UnsafePointer<UInt32>, _ count: Int, block: Int
  ) {
    if low > 0 || high < .max { ck_keep_between(values, bits, low, high, count) }
    for tie in ties where block < tie.before.count {
      _ = ck_keep_ties(
        values, bits, tie.bits, tie.before[block], UInt64(tie.kept.lowerBound),
        UInt64(tie.kept.upperBound), count)
    }
  }
}
