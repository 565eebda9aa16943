/// Which part of a picture a training sample shows, drawn as torchvision's `RandomResizedCrop` draws it.
public struct RandomResizedCrop: Sendable, Hashable, Codable {
  /// The least and the greatest part of the picture's area.
  public var scale: ClosedRange<Double>
  /// The least and the greatest width by height.
  public var ratio: ClosedRange<Double>

  /// A way of drawing parts.
  public init(scale: ClosedRange<Double> = 0.08...1, ratio: ClosedRange<Double> = 3.0 / 4...4.0 / 3)
  {
    self.scale = scale
    self.ratio = ratio
  }

  /// Draws a part: ten tries of an area and of a ratio (evenly by its logarithm), then of a place; else the
  /// middle of the picture, with the nearest ratio that is allowed.
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
