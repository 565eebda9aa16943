/// Draws changes of brightness, contrast, saturation and hue as torchvision's `ColorJitter` draws them.
public struct ColorJitter: Sendable, Hashable, Codable {
  /// How far the factors may lie from 1.
  public var brightness: Double, contrast: Double, saturation: Double
  /// How far the hue may move, as a part of the circle up to 0.5.
  public var hue: Double

  /// A way of drawing changes; those of 0 are left out.
  public init(
    brightness: Double = 0, contrast: Double = 0, saturation: Double = 0, hue: Double = 0
  ) {
    self.brightness = brightness
    self.contrast = contrast
    self.saturation = saturation
    self.hue = hue
  }

  /// Draws changes: their order first, then the strength of each.
  public func draw(random: inout ImageRandom) -> [Augmentation] {
    let order = random.permutation(4)
    let ranges: [(operation: Augmentation.Operation, most: Double)] = [
      (.brightness, brightness), (.contrast, contrast), (.color, saturation), (.hue, min(0.5, hue)),
    ]
    let drawn: [Augmentation?] = ranges.map { range in
      guard range.most > 0 else { return nil }
      // A factor is not negative.
      let least = range.operation == .hue ? -range.most : max(-1, -range.most)
      return Augmentation(range.operation, magnitude: random.uniform(least, range.most))
    }
    return order.compactMap { drawn[$0] }
  }
}
