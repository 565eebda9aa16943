/// Random erasing: overwrites a random rectangle of a normalized sample, drawn as torchvision's
/// `RandomErasing` does.
public struct RandomErasing: Sendable, Hashable, Codable {
  /// The probability of erasing.
  public var probability: Double
  /// The range of the rectangle's area, as a fraction of the sample's.
  public var scale: ClosedRange<Double>
  /// The range of the rectangle's height divided by its width.
  public var ratio: ClosedRange<Double>
  /// The value written for each channel; nil for numbers from the standard normal distribution.
  public var values: [Float]?

  /// Creates a random erasing with torchvision's defaults; zeros are written.
  public init(
    probability: Double = 0.5, scale: ClosedRange<Double> = 0.02...0.33,
    ratio: ClosedRange<Double> = 0.3...3.3, values: [Float]? = [0, 0, 0]
  ) {
    self.probability = probability
    self.scale = scale
    self.ratio = ratio
    self.values = values
  }

  /// A rectangle to erase, and the seed of random values.
  public struct Erasure: Sendable, Hashable, Codable {
    /// The rectangle in the sample.
    public var box: PixelRectangle
    /// The seed of the values, if they are random.
    public var seed: UInt64

    /// Creates an erasure.
    public init(box: PixelRectangle, seed: UInt64 = 0) {
      self.box = box
      self.seed = seed
    }
  }

  /// Draws a rectangle; nil if nothing is erased, by chance or because ten attempts did not fit.
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

  /// Overwrites the rectangle in a sample of shape [3, height, width].
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
