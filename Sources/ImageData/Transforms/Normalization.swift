/// Bytes to float32: divided by 255, less the mean, divided by the deviation, each rounded, as torchvision's
/// `ToTensor` and `Normalize` do it.
public struct Normalization: Sendable, Hashable, Codable {
  /// Of red, green and blue.
  public var mean: [Float]
  /// Of red, green and blue.
  public var deviation: [Float]

  /// ImageNet's by default.
  public init(
    mean: [Float] = [0.485, 0.456, 0.406], deviation: [Float] = [0.229, 0.224, 0.225]
  ) {
    self.mean = mean
    self.deviation = deviation
  }

  /// What each byte of each color becomes: 3 x 256 values.
  var table: [Float] {
    (0..<768).map {
      (Float($0 % 256) / 255 - mean[$0 / 256]) / deviation[$0 / 256]
    }
  }

  /// Refuses what is no number for each color.
  func check() throws(ImageError) {
    guard mean.count == 3, deviation.count == 3, deviation.allSatisfy({ $0 != 0 }) else {
      throw .badRequest("a normalization needs a mean and a deviation of three colors")
    }
  }
}
