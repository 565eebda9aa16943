/// A random crop, drawn as torchvision's `RandomResizedCrop` does.
public struct RandomResizedCrop: Sendable, Hashable, Codable {
  /// The range of the crop's area, as a fraction of the image's.
  public var scale: ClosedRange<Double>
  /// The range of the crop's width divided by its height.
  public var ratio: ClosedRange<Double>

  /// Creates a random crop with torchvision's defaults.
  public init(scale: ClosedRange<Double> = 0.08...1, ratio: ClosedRange<Double> = 3.0 / 4...4.0 / 3)
  {
    self.scale = scale
    self.ratio = ratio
  }

  /// Draws a crop: up to ten attempts with a random area and a random aspect ratio (uniform in the
  /// logarithm), then a random position; otherwise the center of the image with the nearest allowed
  /// ratio.
  public func draw(
    width: Int, height: Int, random: inout ImageRandom
  ) -> PixelRectangle {
    let area = Double(width) * Double(height)
    let logarithms = (
      Logarithm.natural(ratio.lowerBound), Logarithm.natural(ratio.upperBound)
    )
    for _ in 0..<10 {
      let part = area * random.uniform(scale.lowerBound, scale.upperBound)
      let ratio = Logarithm.exponential(random.uniform(logarithms.0, logarithms.1))
      guard let partWidth = Self.rounded((part * ratio).squareRoot()),
        let partHeight = Self.rounded((part / ratio).squareRoot()),
        partWidth > 0, partWidth <= width, partHeight > 0, partHeight <= height
      else { continue }
      let top = random.below(height - partHeight + 1)
      let left = random.below(width - partWidth + 1)
      return PixelRectangle(top: top, left: left, height: partHeight, width: partWidth)
    }
    return middle(width: width, height: height)
  }

  private static func rounded(_ value: Double) -> Int? {
    Int(exactly: value.rounded(.toNearestOrEven))
  }

  private func middle(width: Int, height: Int) -> PixelRectangle {
    let found = Double(width) / Double(height)
    var (partWidth, partHeight) = (width, height)
    if found < ratio.lowerBound {
      partHeight = Self.rounded(Double(width) / ratio.lowerBound) ?? height
    } else if found > ratio.upperBound {
      partWidth = Self.rounded(Double(height) * ratio.upperBound) ?? width
    }
    partWidth = max(1, min(width, partWidth))
    partHeight = max(1, min(height, partHeight))
    return PixelRectangle(
      top: (height - partHeight) / 2, left: (width - partWidth) / 2, height: partHeight,
      width: partWidth)
  }
}
