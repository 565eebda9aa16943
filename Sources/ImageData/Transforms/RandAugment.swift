/// RandAugment: draws random operations as torchvision's `RandAugment` does.
public struct RandAugment: Sendable, Hashable, Codable {
  /// The number of operations, applied one after the other.
  public var count: Int
  /// The index of the magnitude, below `magnitudes`.
  public var magnitude: Int
  /// The number of magnitudes.
  public var magnitudes: Int

  /// Creates a RandAugment with torchvision's defaults.
  public init(count: Int = 2, magnitude: Int = 9, magnitudes: Int = 31) {
    self.count = count
    self.magnitude = magnitude
    self.magnitudes = magnitudes
  }

  /// Draws operations for an image of the given size.
  public func draw(width: Int, height: Int, random: inout ImageRandom) -> [Augmentation] {
    let all = Augmentation.Operation.randAugment
    return (0..<max(0, count)).map { _ in
      let operation = all[random.below(all.count)]
      let bin = max(0, min(magnitudes - 1, magnitude))
      let size = operation.magnitude(bin: bin, of: magnitudes, height: height, width: width)
      let isNegative = operation.isSigned && random.below(2) == 1
      return Augmentation(operation, magnitude: isNegative ? -size : size)
    }
  }
}
