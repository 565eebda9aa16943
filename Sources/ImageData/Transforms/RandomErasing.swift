/// Draws a rectangle of the finished sample that is overwritten, as torchvision's `RandomErasing` draws it.
public struct RandomErasing: Sendable, Hashable, Codable {
  /// How likely it is.
  public var probability: Double
  /// The least and the greatest part of the area.
  public var scale: ClosedRange<Double>
  /// The least and the greatest height by width.
  public var ratio: ClosedRange<Double>
  /// What is written: a number for each color, or nil for numbers from the standard normal distribution.
  public var values: [Float]?

  /// A way of drawing rectangles; zeros by default.
  public init(
    probability: Double = 0.5, scale: ClosedRange<Double> = 0.02...0.33,
    ratio: ClosedRange<Double> = 0.3...3.3, values: [Float]? = [0, 0, 0]
  ) {
    self.probability = probability
    self.scale = scale
    self.ratio = ratio
    self.values = values
  }

  /// A rectangle, and the seed of what is written where that is random.
  public struct Erasure: Sendable, Hashable, Codable {
    /// The part of the sample.
    public var box: PixelRectangle
    /// The seed of the numbers.
    public var seed: UInt64

    /// A rectangle.
    public init(box: PixelRectangle, seed: UInt64 = 0) {
      self.box = box
      self.seed = seed
    }
  }

  /// Draws a rectangle, or nil.
  public func draw(size: PixelSize, random: inout ImageRandom) -> Erasure? {
    guard random.unit() < probability else { return nil }
    let area = Double(size.height) * Double(size.width)
    let logarithms = (
      Logarithm.natural(ratio.lowerBound), Logarithm.natural(ratio.upperBound)
    )
    for _ in 0..<10 {
      let part = area * random.uniform(scale.lowerBound, scale.upperBound)
      let ratio = Logarithm.exponential(random.uniform(logarithms.0, logarithms.1))
      let height = Int(exactly: (part * ratio).squareRoot().rounded(.toNearestOrEven)) ?? 0
      let width = Int(exactly: (part / ratio).squareRoot().rounded(.toNearestOrEven)) ?? 0
      guard height > 0, width > 0, height < size.height, width < size.width else { continue }
      let top = random.below(size.height - height + 1)
      let left = random.below(size.width - width + 1)
      let box = PixelRectangle(top: top, left: left, height: height, width: width)
      return Erasure(box: box, seed: random.next())
    }
    return nil
  }

  /// Overwrites the rectangle in the three planes of a sample.
  func erase(
    _ erasure: Erasure, in planes: inout MutableSpan<Float>, size: PixelSize
  ) {
    var random = ImageRandom(seed: erasure.seed, epoch: 0, index: 0)
    let box = erasure.box
    for color in 0..<3 {
      for y in box.top..<box.top + box.height {
        for x in box.left..<box.left + box.width {
          let value = values.map { $0.indices.contains(color) ? $0[color] : $0.first ?? 0 }
          planes[(color * size.height + y) * size.width + x] = value ?? Float(random.normal())
        }
      }
    }
  }
}
