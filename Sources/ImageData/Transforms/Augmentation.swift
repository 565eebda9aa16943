/// One operation of RandAugment or ColorJitter, with its magnitude.
public struct Augmentation: Sendable, Hashable, Codable {
  /// The operations; the names are torchvision's.
  public enum Operation: String, Sendable, Codable, CaseIterable {
    case identity = "Identity"
    case shearX = "ShearX"
    case shearY = "ShearY"
    case translateX = "TranslateX"
    case translateY = "TranslateY"
    case rotate = "Rotate"
    case brightness = "Brightness"
    case color = "Color"
    case contrast = "Contrast"
    case sharpness = "Sharpness"
    case posterize = "Posterize"
    case solarize = "Solarize"
    case autoContrast = "AutoContrast"
    case equalize = "Equalize"
    case hue = "Hue"

    /// The operations that RandAugment draws from, in torchvision's order.
    static let randAugment = allCases.filter { $0 != .hue }

    /// Whether the sign of the magnitude is drawn at random.
    var isSigned: Bool {
      switch self {
      case .shearX, .shearY, .translateX, .translateY, .rotate, .brightness, .color, .contrast,
        .sharpness:
        true
      default: false
      }
    }

    /// The magnitude number `bin` of `bins` for an image of the given size, as in torchvision.
    func magnitude(bin: Int, of bins: Int, height: Int, width: Int) -> Double {
      let (from, to): (Double, Double) =
        switch self {
        case .identity, .autoContrast, .equalize: (0, 0)
        case .shearX, .shearY: (0, 0.3)
        case .translateX: (0, 150.0 / 331.0 * Double(width))
        case .translateY: (0, 150.0 / 331.0 * Double(height))
        case .rotate: (0, 30)
        case .brightness, .color, .contrast, .sharpness: (0, 0.9)
        case .posterize: (8, 4)
        case .solarize: (255, 0)
        case .hue: (0, 0.5)
        }
      guard bins > 1 else { return from }
      if self == .posterize {
        return 8 - Double((Float(bin) / Float(Double(bins - 1) / 4)).rounded(.toNearestOrEven))
      }
      // Computed in float32 from the nearer end, like PyTorch's `linspace`.
      let step = (Float(to) - Float(from)) / Float(bins - 1)
      return Double(
        bin < bins / 2 ? Float(from) + step * Float(bin) : Float(to) - step * Float(bins - 1 - bin))
    }
  }

  /// The operation.
  public var operation: Operation
  /// The magnitude, in the operation's unit: a tangent for shears, pixels, degrees, factors (minus
  /// 1), bits, a threshold, or a fraction of the color circle.
  public var magnitude: Double

  /// Creates an operation with a magnitude.
  public init(_ operation: Operation, magnitude: Double = 0) {
    self.operation = operation
    self.magnitude = magnitude
  }

  /// The transformed image, byte for byte like torchvision's result for a Pillow image.
  public func applied(to image: RGBImage) -> RGBImage {
    guard magnitude.isFinite, image.width > 0, image.height > 0 else { return image }
    let factor = Float(1 + magnitude)
    switch operation {
    case .identity: return image
    case .shearX: return image.affine(.sheared(x: magnitude))
    case .shearY: return image.affine(.sheared(y: magnitude))
    case .translateX, .translateY:
      let shift = max(-1e6, min(1e6, magnitude.rounded(.towardZero)))
      let isX = operation == .translateX
      let center = (Double(image.width) * 0.5, Double(image.height) * 0.5)
      return image.affine(
        .inverse(center: center, translation: isX ? (shift, 0) : (0, shift), shear: (0, 0)))
    case .rotate: return image.rotated(degrees: magnitude)
    case .brightness: return image.blended(factor) { _ in (0, 0, 0) }
    case .color: return image.withColor(factor)
    case .contrast: return image.withContrast(factor)
    case .sharpness: return image.withSharpness(factor)
    case .posterize:
      let bits = max(1, min(8, Int(max(0, min(8, magnitude)))))
      let mask = UInt8(truncatingIfNeeded: 0xFF00 >> bits)
      return image.mapped((0..<768).map { UInt8($0 % 256) & mask })
    case .solarize:
      return image.mapped(
        (0..<768).map { Double($0 % 256) < magnitude ? UInt8($0 % 256) : 255 - UInt8($0 % 256) })
    case .autoContrast: return image.withFullContrast()
    case .equalize: return image.equalized()
    case .hue: return image.withHue(magnitude)
    }
  }
}
