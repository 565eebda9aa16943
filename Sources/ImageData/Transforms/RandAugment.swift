/// Draws operations on a picture as torchvision's `RandAugment` draws them.
public struct RandAugment: Sendable, Hashable, Codable {
  /// How many operations, one after the other.
  public var count: Int
  /// How strong they are, as the number of a magnitude.
  public var magnitude: Int
  /// How many magnitudes there are.
  public var magnitudes: Int

  /// A way of drawing operations.
  public init(count: Int = 2, magnitude: Int = 9, magnitudes: Int = 31) {
    self.count = count
    self.magnitude = magnitude
    self.magnitudes = magnitudes
  }

  /// Draws operations for a picture of these sides.
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
