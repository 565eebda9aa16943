internal import CkptBytes
internal import CCkptKernels
internal import CkptPlatform

/// Finds numbers by their rank without sorting: by counting in two passes, with bounded memory.
///
/// The numbers are non-negative float32 values given as their bits, which sort in the same order.
/// The first pass counts the upper 16 bits of each number, the second the lower 15 bits of those
/// whose upper bits match a sought number.
struct RankSelection {
  /// A number found by its rank.
  struct Found: Sendable {
    /// The number's float32 bits.
    let bits: UInt32
    /// The number of smaller numbers.
    let below: Int
    /// The number of equal numbers, including this one.
    let equal: Int
  }

  private var upper: [UInt64]
  private var lower: [(bucket: UInt32, below: Int, ranks: [Int], counts: [UInt64])] = []
  /// The ranks to find; must not change once the second pass begins.
  var ranks: [Int]

  /// Creates a selection of the numbers at `ranks`, counted from 0 for the smallest.
  init(ranks: [Int]) {
    self.ranks = ranks
    upper = [UInt64](repeating: 0, count: 1 << 16)
  }

  /// Counts `count` numbers in the first pass.
  mutating func countFirst(_ bits: UnsafePointer<UInt32>, _ count: Int) {
    upper.withUnsafeMutableBufferPointer { counts in
      guard let counts = counts.baseAddress else { return }
      ck_count_upper_bits(bits, counts, count)
    }
  }

  /// Ends the first pass and determines which upper bits the second pass counts.
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

  /// The number at one of `ranks`, after both passes; nil for other ranks.
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

/// Decides which elements are kept, by a non-negative number for each element, such as its
/// magnitude.
struct KeepRule: Sendable {
  /// The bits of the smallest and the largest number whose elements are kept.
  let low, high: UInt32
  /// The numbers at the ends of that range for which only some elements are kept.
  private(set) var ties: [Ties] = []

  /// A number for which only some of the elements that have it are kept.
  struct Ties: Sendable {
    let bits: UInt32
    /// Which of these elements are kept, counted in the tensor's order.
    let kept: Range<Int>
    /// For each block, the number of these elements in earlier blocks.
    var before: [UInt64] = []
    /// The number of these elements in the blocks passed so far.
    fileprivate var seen: UInt64 = 0
  }

  /// A rule that keeps all elements.
  static let all = KeepRule(low: 0, high: .max)
  /// A rule that keeps no element.
  static let none = KeepRule(low: .max, high: 0)

  private init(low: UInt32, high: UInt32) {
    self.low = low
    self.high = high
  }

  /// Creates a rule that keeps the elements whose rank lies in `ranks`; among equal numbers,
  /// earlier elements have the lower rank.
  ///
  /// With `prefersEarlier`, the earlier ones among the elements with the smallest kept number are
  /// kept instead.
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

  /// Whether `keepInOrder` must be called with all blocks in order before `keep` is used.
  var needsPass: Bool { !ties.isEmpty }

  /// Sets the values of a block that are not kept to zero, and records its ties; called with all
  /// blocks in order.
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

  /// Sets the values of block number `block` that are not kept to zero.
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
