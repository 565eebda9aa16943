/// The rule by which two numbers count as equal: `torch.allclose`'s rule, `|a - b| <= atol + rtol * |b|`.
public struct Tolerance: Sendable, Hashable {
  /// The relative tolerance, `rtol`.
  public var relative: Double
  /// The absolute tolerance, `atol`.
  public var absolute: Double
  /// Whether NaN is equal to NaN.
  public var equalNaN: Bool

  /// A rule of these bounds.
  public init(relative: Double = 0, absolute: Double = 0, equalNaN: Bool = false) {
    self.relative = relative
    self.absolute = absolute
    self.equalNaN = equalNaN
  }

  /// The same numbers, NaN where NaN was: a state dict is equal to itself.
  public static let exact = Tolerance(equalNaN: true)

  /// Whether `a` counts as equal to `b`.
  public func accepts(_ a: Double, _ b: Double) -> Bool {
    if a == b { return true }
    if a.isNaN || b.isNaN { return equalNaN && a.isNaN && b.isNaN }
    guard a.isFinite, b.isFinite else { return false }
    return abs(a - b) <= absolute + relative * abs(b)
  }
}

/// How two tensors of one shape differ, element by element.
public struct TensorDifference: Sendable {
  /// How many elements there are.
  public private(set) var count = 0
  /// How many lie farther apart than the tolerance allows.
  public private(set) var differingCount = 0
  /// How many are NaN on one side only.
  public private(set) var nanMismatchCount = 0
  /// The greatest `|a - b|`; NaN on both sides counts as none, on one side as none too.
  public private(set) var maxAbsolute = 0.0
  /// The greatest `|a - b| / |b|`; infinite where `b` is 0 and `a` is not.
  public private(set) var maxRelative = 0.0
  /// Sums over the elements that are finite on both sides.
  private var squaredChange = 0.0
  private var squaredA = 0.0
  private var squaredB = 0.0
  private var product = 0.0
  /// The changes `b - a` by size, if that was asked for and there are any.
  public private(set) var histogram: Histogram?
  private var tally: HistogramTally?

  /// Nothing compared yet.
  init(withHistogram: Bool = false) { tally = withHistogram ? HistogramTally() : nil }

  /// The same, for keeping.
  var finished: TensorDifference {
    var result = self
    result.histogram = tally?.histogram()
    result.tally = nil
    return result
  }

  /// Whether all elements are equal within the tolerance.
  public var isWithinTolerance: Bool { differingCount == 0 }
  /// The length of the change, the square root of the sum of `(b - a)²` over what is finite.
  public var changeNorm: Double { squaredChange.squareRoot() }
  /// That length as a part of the longer one of both, taken as vectors: 0 for no change, 1 where one is all 0, 2
  /// where `b` is `-a`.
  public var relativeChange: Double {
    squaredChange == 0 ? 0 : (squaredChange / max(squaredA, squaredB)).squareRoot()
  }
  /// The cosine of the angle between both, taken as vectors; NaN if one is all 0.
  public var cosine: Double {
    let length = squaredA.squareRoot() * squaredB.squareRoot()
    return length > 0 ? max(-1, min(1, product / length)) : .nan
  }

  /// Compares numbers; `a` is working space afterwards.
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
        // 0 in b makes it infinite.
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

  /// Compares complex numbers, two parts each, by their distance in the plane; `a` is working space afterwards.
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
        // Equal infinities have equal parts; otherwise one number stands for the whole.
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

  /// The magnitude of a complex number without overflow or underflow on the way; NaN if a part is.
  private static func magnitude(_ number: (Double, Double)) -> Double {
    if number.0.isNaN || number.1.isNaN { return .nan }
    let scale = max(abs(number.0), abs(number.1))
    guard scale > 0, scale.isFinite else { return scale }
    let (x, y) = (number.0 / scale, number.1 / scale)
    return scale * (x * x + y * y).squareRoot()
  }

  private mutating func addSpecial(_ x: Double, _ y: Double, _ tolerance: Tolerance) {
    if x.isNaN != y.isNaN { nanMismatchCount += 1 }
    if !tolerance.accepts(x, y) { differingCount += 1 }
    if !x.isNaN, !y.isNaN, x != y {
      maxAbsolute = .infinity
      maxRelative = .infinity
    }
  }

  /// Compares integers of 64 bits, which need not be apart as 64-bit floats.
  mutating func addIntegers(_ a: UInt64, _ b: UInt64, signed: Bool, _ tolerance: Tolerance) {
    let (x, y) = (Int64(bitPattern: a), Int64(bitPattern: b))
    let isGreater = signed ? y > x : b > a
    let distance = Double(isGreater ? b &- a : a &- b)
    let magnitude = signed ? Double(y.magnitude) : Double(b)
    maxAbsolute = max(maxAbsolute, distance)
    maxRelative = max(maxRelative, distance / magnitude)
    if distance > tolerance.absolute + tolerance.relative * magnitude { differingCount += 1 }
  }

  /// Adds what another one has found.
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
