internal import CkptBytes

/// Minimum, maximum, mean, standard deviation and norm of a tensor; NaN and infinite elements are
/// counted apart.
///
/// Computed in float64, block by block, with the formula of Chan, Golub, and LeVeque for combining
/// samples, so that precision does not decrease with the tensor's size.
public struct TensorStatistics: Sendable {
  /// The number of elements.
  public private(set) var count = 0
  /// The number of NaN elements.
  public private(set) var nanCount = 0
  /// The number of infinite elements, of either sign.
  public private(set) var infiniteCount = 0
  /// The number of zeros, of either sign.
  public private(set) var zeroCount = 0
  private var least = Double.infinity
  private var greatest = -Double.infinity
  private var finiteMean = 0.0
  /// The sum of the squared differences between the finite numbers and their mean.
  private var squares = 0.0
  /// The histogram of the finite numbers; nil if it was not requested or there are none.
  public private(set) var histogram: Histogram?
  private var tally: HistogramTally?

  /// Creates statistics of no numbers.
  init(withHistogram: Bool = false) { tally = withHistogram ? HistogramTally() : nil }

  /// The final statistics, with the histogram computed and working memory released.
  var finished: TensorStatistics {
    var result = self
    result.histogram = tally?.histogram()
    result.tally = nil
    return result
  }

  /// The statistics of elements that each occur so many times; of finished statistics.
  func repeated(_ times: Int) -> TensorStatistics {
    guard times > 1 else { return self }
    var result = self
    result.count *= times
    result.nanCount *= times
    result.infiniteCount *= times
    result.zeroCount *= times
    result.squares *= Double(times)
    result.histogram = histogram?.repeated(times)
    return result
  }

  /// The number of elements that are neither NaN nor infinite.
  public var finiteCount: Int { count - nanCount - infiniteCount }
  /// The minimum, infinite elements included; NaN if there is none.
  public var min: Double { count > nanCount ? least : .nan }
  /// The maximum, infinite elements included; NaN if there is none.
  public var max: Double { count > nanCount ? greatest : .nan }
  /// The mean of the finite numbers; NaN if there are none.
  public var mean: Double { finiteCount > 0 ? finiteMean : .nan }
  /// The standard deviation of the finite numbers as `torch.std` gives it: divided by their count
  /// less 1; NaN if there are fewer than two.
  public var standardDeviation: Double {
    finiteCount > 1 ? (squares / Double(finiteCount - 1)).squareRoot() : .nan
  }
  /// The Euclidean norm of the finite numbers.
  public var norm: Double {
    (squares + Double(finiteCount) * finiteMean * finiteMean).squareRoot()
  }

  /// Adds numbers; the contents of `numbers` are overwritten.
  mutating func add(_ numbers: inout MutableSpan<Double>) {
    let sums = BlockSums(numbers.span)
    if sums.isFinite { return add(numbers.span, sums) }
    let kept = setAside(&numbers)
    let finite = numbers.span.extracting(..<kept)
    add(finite, BlockSums(finite))
  }

  /// Adds finite numbers and their sums.
  private mutating func add(_ finite: Span<Double>, _ sums: BlockSums) {
    count += finite.count
    zeroCount += sums.zeroCount
    guard !finite.isEmpty else { return }
    least = Swift.min(least, sums.min)
    greatest = Swift.max(greatest, sums.max)
    let mean = sums.sum / Double(finite.count)
    join(
      count: finite.count, mean: mean, squares: BlockSums.squares(finite, around: mean),
      before: finiteCount - finite.count)
    tally?.add(finite, reach: Swift.max(-sums.min, sums.max))
  }

  /// Adds the statistics of other elements.
  mutating func add(_ other: TensorStatistics) {
    let before = finiteCount
    count += other.count
    nanCount += other.nanCount
    infiniteCount += other.infiniteCount
    zeroCount += other.zeroCount
    least = Swift.min(least, other.least)
    greatest = Swift.max(greatest, other.greatest)
    join(
      count: other.finiteCount, mean: other.finiteMean, squares: other.squares, before: before)
    if let theirs = other.tally { tally?.add(theirs) }
  }

  /// Combines the mean and the squared differences with those of `count` more numbers; `before` is
  /// the previous finite count.
  private mutating func join(count: Int, mean: Double, squares: Double, before: Int) {
    guard count > 0 else { return }
    let (old, new) = (Double(before), Double(count))
    let distance = mean - finiteMean
    finiteMean += distance * new / (old + new)
    self.squares += squares + distance * distance * old * new / (old + new)
  }

  /// Counts the numbers that are not finite, moves the finite ones to the front, and returns how
  /// many there are.
  private mutating func setAside(_ numbers: inout MutableSpan<Double>) -> Int {
    var kept = 0
    for index in numbers.indices {
      let number = numbers[index]
      if number.isFinite {
        numbers[kept] = number
        kept += 1
        continue
      }
      count += 1
      if number.isNaN {
        nanCount += 1
      } else {
        infiniteCount += 1
        least = Swift.min(least, number)
        greatest = Swift.max(greatest, number)
      }
    }
    return kept
  }
}

/// Sums over a block, computed in eight lanes that are then added, always in the same order.
private struct BlockSums {
  typealias Lanes = SIMD8<Double>

  private(set) var sum = 0.0
  private(set) var min = Double.infinity
  private(set) var max = -Double.infinity
  private(set) var zeroCount = 0
  /// Whether all numbers are finite; if not, the other results are meaningless.
  private(set) var isFinite = true

  init(_ numbers: Span<Double>) {
    var (sums, zeros, spoilt) = (Lanes.zero, Lanes.zero, Lanes.zero)
    var lows = Lanes(repeating: .infinity)
    var highs = Lanes(repeating: -.infinity)
    Self.eachLanes(numbers) { lanes in
      sums += lanes
      // x - x is 0 unless x is infinite or NaN.
      spoilt += lanes - lanes
      lows.replace(with: lanes, where: lanes .< lows)
      highs.replace(with: lanes, where: lanes .> highs)
      zeros += Lanes.zero.replacing(with: 1, where: lanes .== 0)
    } rest: { number in
      sum += number
      if !number.isFinite { isFinite = false }
      min = Swift.min(min, number)
      max = Swift.max(max, number)
      if number == 0 { zeroCount += 1 }
    }
    for lane in 0..<Lanes.scalarCount {
      sum += sums[lane]
      min = Swift.min(min, lows[lane])
      max = Swift.max(max, highs[lane])
      zeroCount += Int(saturating: zeros[lane])
      if spoilt[lane] != 0 { isFinite = false }
    }
  }

  /// The sum of the squared differences between `numbers` and `mean`.
  static func squares(_ numbers: Span<Double>, around mean: Double) -> Double {
    var sums = Lanes.zero
    var sum = 0.0
    eachLanes(numbers) { lanes in
      let distance = lanes - mean
      sums += distance * distance
    } rest: { number in
      sum += (number - mean) * (number - mean)
    }
    for lane in 0..<Lanes.scalarCount { sum += sums[lane] }
    return sum
  }

  @inline(__always)
  private static func eachLanes(
    _ numbers: Span<Double>, _ body: (Lanes) -> Void, rest: (Double) -> Void
  ) {
    let whole = numbers.count / Lanes.scalarCount * Lanes.scalarCount
    let bytes = numbers.bytes
    for index in stride(from: 0, to: whole, by: Lanes.scalarCount) {
      body(bytes.unsafeLoadUnaligned(fromByteOffset: index * 8, as: Lanes.self))
    }
    for index in whole..<numbers.count { rest(numbers[index]) }
  }
}
