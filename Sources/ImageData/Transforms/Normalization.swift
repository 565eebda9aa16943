/// Converts bytes to float32: divides by 255, subtracts the mean, and divides by the deviation,
/// rounding each time, like torchvision's `ToTensor` and `Normalize`.
public struct Normalization: Sendable, Hashable, Codable {
  /// The means of red, green, and blue, on a scale from 0 to 1.
  public var mean: [Float]
  /// The standard deviations of red, green, and blue, on a scale from 0 to 1.
  public var deviation: [Float]

  /// Creates a normalization; by default with the statistics of ImageNet.
  public init(
    mean: [Float] = [0.485, 0.456, 0.406], deviation: [Float] = [0.229, 0.224, 0.225]
  ) {
    self.mean = mean
    self.deviation = deviation
  }

  /// The result for each channel and byte: 3 x 256 values.
  var table: [Float] {
    (0..<768).map {
      (Float($0 % 256) / 255 - mean[$0 / 256]) / deviation[$0 / 256]
    }
  }

  /// Throws `ImageError.badRequest` unless there are a mean and a nonzero deviation for each of
  /// three channels.
  func check() throws(ImageError) {
    guard mean.count == 3, deviation.count == 3, deviation.allSatisfy({ $0 != 0 }) else {
      throw .badRequest("a normalization needs a mean and a deviation of three colors")
    }
  }
}
