/// ColorJitter: draws random changes of brightness, contrast, saturation, and hue as torchvision's
/// `ColorJitter` does.
public struct ColorJitter: Sendable, Hashable, Codable {
  /// The maximum difference of each factor from 1.
  public var brightness: Double, contrast: Double, saturation: Double
  /// The maximum rotation of the hue, as a fraction of the color circle, up to 0.5.
  public var hue: Double

  /// Creates a ColorJitter; operations with strength 0 are left out.
  public init(
    brightness: Double = 0, contrast: Double = 0, saturation: Double = 0, hue: Double = 0
  ) {
    self.brightness = brightness
    self.contrast = contrast
    self.saturation = saturation
    self.hue = hue
  }

  /// Draws the operations: first their order, then the magnitude of each.
  public func draw(random: inout ImageRandom) -> [Augmentation] {
    let order = random.permutation(4)
    let ranges: [(operation: Augmentation.Operation, most: Double)] = [
      (.brightness, brightness), (.contrast, contrast), (.color, saturation), (.hue, min(0.5, hue)),
    ]
    let drawn: [Augmentation?] = ranges.map { range in
      guard range.most > 0 else { return nil }
      // Factors are at least 0, so magnitudes are at least -1.
      let least = range.operation == .hue ? -range.most : max(-1, -range.most)
      return Augmentation(range.operation, magnitude: random.uniform(least, range.most))
    }
    return order.compactMap { drawn[$0] }
  }
}
