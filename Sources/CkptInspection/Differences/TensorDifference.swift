/// The rule by which two numbers count as equal: that of `torch.allclose`,
/// `|a - b| <= atol + rtol * |b|`.
public struct Tolerance: Sendable, Hashable {
  /// The relative tolerance, `rtol`.
  public var relative: Double
  /// The absolute tolerance, `atol`.
  public var absolute: Double
  /// Whether two NaN are equal.
  public var equalNaN: Bool

  /// Creates a tolerance; by default numbers must be equal, and NaN is not equal to NaN.
  public init(relative: Double = 0, absolute: Double = 0, equalNaN: Bool = false) {
    self.relative = relative
    self.absolute = absolute
    self.equalNaN = equalNaN
  }

  /// Requires equal numbers, with NaN equal to NaN, so that a state dict is equal to itself.
  public static let exact = Tolerance(equalNaN: true)

  /// Whether `a` is equal to `b` within the tolerance.
  public func accepts(_ a: Double, _ b: Double) -> Bool {
    if a == b { return true }
    if a.isNaN || b.isNaN { return equalNaN && a.isNaN && b.isNaN }
    guard a.isFinite, b.isFinite else { return false }
    return abs(a - b) <= absolute + relative * abs(b)
  }
}

/// The element-wise difference of two tensors, `a` and `b`, of the same shape.
public struct TensorDifference: Sendable {
  /// The number of elements.
  public private(set) var count = 0
  /// The number of elements that differ by more than the tolerance.
  public private(set) var differingCount = 0
  /// The number of elements that are NaN on one side only.
  public private(set) var nanMismatchCount = 0
  /// The maximum of `|a - b|`; elements that are NaN on either side are ignored.
  public private(set) var maxAbsolute = 0.0
  /// The maximum of `|a - b| / |b|`; infinite where `b` is 0 and `a` is not.
  public private(set) var maxRelative = 0.0
  /// Sums over the elements that are finite on both sides.
  private var squaredChange = 0.0
  private var squaredA = 0.0
  private var squaredB = 0.0
  private var product = 0.0
  /// The histogram of `b - a` (for complex numbers, of `|b - a|`); nil if it was not requested or
  /// there are no finite elements.
  public private(set) var histogram: Histogram?
  private var tally: HistogramTally?

  /// Creates a difference of no elements.
  init(withHistogram: Bool = false) { tally = withHistogram ? HistogramTally() : nil }

  /// The final difference, with the histogram computed and working memory released.
  var finished: TensorDifference {
    var result = self
    result.histogram = tally?.histogram()
    result.tally = nil
    return result
  }

  /// The difference of elements that each occur so many times; of a finished difference.
  func repeated(_ times: Int) -> TensorDifference {
    guard times > 1 else { return self }
    var result = self
    result.count *= times
    result.differingCount *= times
    result.nanMismatchCount *= times
    result.squaredChange *= Double(times)
    result.squaredA *= Double(times)
    result.squaredB *= Double(times)
    result.product *= Double(times)
    result.histogram = histogram?.repeated(times)
    return result
  }

  /// Whether all elements are equal within the tolerance.
  public var isWithinTolerance: Bool { differingCount == 0 }
  /// The Euclidean norm of `b - a` over the elements that are finite on both sides.
  public var changeNorm: Double { squaredChange.squareRoot() }
  /// ``changeNorm`` divided by the larger norm of `a` and `b`: 0 for no change, 1 if one of them is
  /// zero, 2 if `b` is `-a`.
  public var relativeChange: Double {
    squaredChange == 0 ? 0 : (squaredChange / max(squaredA, squaredB)).squareRoot()
  }
  /// The cosine similarity of `a` and `b`; NaN if either is zero.
  public var cosine: Double {
    let length = squaredA.squareRoot() * squaredB.squareRoot()
    return length > 0 ? max(-1, min(1, product / length)) : .nan
  }

  /// Compares real numbers; the contents of `a` are overwritten.
  mutating func add(
    _ a: inout MutableSpan<Double>, _ b: Span<Double>, _ tolerance: Tolerance
  ) {
    precondition(a.count == b.count)
    count += a.count
    var (aa, bb, ab, dd) = (0.0, 0.0, 0.0, 0.0)
    var reach = 0.0
    var kept = 0
    for index in a.indices {
      let (x, y) = (a[index], b[index])
      guard x.isFinite, y.isFinite else {
        addSpecial(x, y, tolerance)
        continue
      }
      let change = y - x
      let distance = abs(change)
      aa += x * x
      bb += y * y
      ab += x * y
      dd += change * change
      if distance > tolerance.absolute + tolerance.relative * abs(y) { differingCount += 1 }
      if distance > 0 {
        reach = max(reach, distance)
        // Infinite if b is 0.
        maxRelative = max(maxRelative, distance / abs(y))
      }
      a[kept] = change
      kept += 1
    }
    maxAbsolute = max(maxAbsolute, reach)
    squaredA += aa
    squaredB += bb
    product += ab
    squaredChange += dd
    if reach.isFinite { tally?.add(a.span.extracting(..<kept), reach: reach) }
  }

  /// Compares complex numbers, stored as pairs, by their distance in the plane; the contents of `a`
  /// are overwritten.
  mutating func addComplex(
    _ a: inout MutableSpan<Double>, _ b: Span<Double>, _ tolerance: Tolerance
  ) {
    precondition(a.count == b.count)
    let total = a.count / 2
    count += total
    var reach = 0.0
    var kept = 0
    for index in 0..<total {
      let (x, y) = ((a[2 * index], a[2 * index + 1]), (b[2 * index], b[2 * index + 1]))
      let (left, right) = (Self.magnitude(x), Self.magnitude(y))
      guard left.isFinite, right.isFinite else {
        // Infinite values are equal only if both parts are; otherwise they are compared as real
        // numbers of different signs.
        let isSame = x == y
        addSpecial(left, isSame || right.isNaN || left.isNaN ? right : -right, tolerance)
        continue
      }
      let distance = Self.magnitude((y.0 - x.0, y.1 - x.1))
      squaredA += left * left
      squaredB += right * right
      product += x.0 * y.0 + x.1 * y.1
      squaredChange += distance * distance
      if distance > tolerance.absolute + tolerance.relative * right { differingCount += 1 }
      if distance > 0 {
        reach = max(reach, distance)
        maxRelative = max(maxRelative, distance / right)
      }
      a[kept] = distance
      kept += 1
    }
    maxAbsolute = max(maxAbsolute, reach)
    if reach.isFinite { tally?.add(a.span.extracting(..<kept), reach: reach) }
  }

  /// The magnitude of a complex number, computed without overflow or underflow in between; NaN if
  /// either part is NaN.
  private static func magnitude(_ number: (Double, Double)) -> Double {
    if number.0.isNaN || number.1.isNaN { return .nan }
    let scale = max(abs(number.0), abs(number.1))
    guard scale > 0, scale.isFinite else { return scale }
    let (x, y) = (number.0 / scale, number.1 / scale)
    return scale * (x * x + y * y).squareRoot()
  }

  /// Compares two numbers of which one is NaN or infinite.
  private mutating func addSpecial(_ x: Double, _ y: Double, _ tolerance: Tolerance) {
    if x.isNaN != y.isNaN { nanMismatchCount += 1 }
    if !tolerance.accepts(x, y) { differingCount += 1 }
    if !x.isNaN, !y.isNaN, x != y {
      maxAbsolute = .infinity
      maxRelative = .infinity
    }
  }

  /// Adds the difference of two 64-bit integers that are equal as float64.
  mutating func addIntegers(_ a: UInt64, _ b: UInt64, signed: Bool, _ tolerance: Tolerance) {
    let (x, y) = (Int64(bitPattern: a), Int64(bitPattern: b))
    let isGreater = signed ? y > x : b > a
    let distance = Double(isGreater ? b &- a : a &- b)
    let magnitude = signed ? Double(y.magnitude) : Double(b)
    maxAbsolute = max(maxAbsolute, distance)
    maxRelative = max(maxRelative, distance / magnitude)
    if distance > tolerance.absolute + tolerance.relative * magnitude { differingCount += 1 }
  }

  /// Adds the difference of other elements.
  mutating func add(_ other: TensorDifference) {
    count += other.count
    differingCount += other.differingCount
    nanMismatchCount += other.nanMismatchCount
    maxAbsolute = max(maxAbsolute, other.maxAbsolute)
    maxRelative = max(maxRelative, other.maxRelative)
    squaredChange += other.squaredChange
    squaredA += other.squaredA
    squaredB += other.squaredB
    product += other.product
    if let theirs = other.tally { tally?.add(theirs) }
  }
}
