/// Mixup: blends each sample of a batch with the one before it, as torchvision's `MixUp` does.
public struct Mixup: Sendable, Hashable, Codable {
  /// Both parameters of the Beta distribution that the mixing factor is drawn from.
  public var alpha: Double

  /// Creates a mixup with the parameter of the Beta distribution.
  public init(alpha: Double = 0.2) { self.alpha = alpha }

  /// Draws the mixing factor: the weight of a sample itself, from 0 to 1.
  public func share(random: inout ImageRandom) -> Double {
    guard alpha > 0 else { return 1 }
    let (one, other) = (random.gamma(alpha), random.gamma(alpha))
    return one + other > 0 ? one / (one + other) : 0.5
  }

  /// Blends a batch with itself shifted by one sample, and returns the values and the targets: the
  /// weight of each class for each sample, of shape [samples, classCount].
  ///
  /// The factor for batch `number` of an epoch is drawn from `ImageRandom(seed:epoch:index:)` with
  /// the index `-3 - number`.
  public func mixed(
    _ batch: ImageBatch, classCount: Int, seed: UInt64, epoch: Int, number: Int
  ) -> (values: BatchValues, targets: [Float]) {
    var random = ImageRandom(seed: seed, epoch: epoch, index: -3 - number)
    return Self.mixed(batch, classCount: classCount, share: Float(share(random: &random)))
  }

  /// Blends a batch with itself shifted by one sample, with a given factor `share`, and returns the
  /// values and the targets of shape [samples, classCount].
  public static func mixed(
    _ batch: ImageBatch, classCount: Int, share: Float
  ) -> (values: BatchValues, targets: [Float]) {
    let count = batch.count
    var targets = [Float](repeating: 0, count: count * classCount)
    let size = count > 0 ? batch.values.count / count : 0
    let rest = 1 - share
    let mixed: [Float] = batch.values.withValues {
      $0.withUnsafeBufferPointer { values in
        [Float](unsafeUninitializedCapacity: values.count) { target, initialized in
          for sample in 0..<count {
            let before = (sample + count - 1) % count
            for i in 0..<size {
              target[sample * size + i] =
                values[before * size + i] * rest + values[sample * size + i] * share
            }
          }
          initialized = values.count
        }
      }
    }
    for sample in 0..<count {
      let before = batch.labels[(sample + count - 1) % count]
      for (label, part) in [(before, rest), (batch.labels[sample], share)]
      where (0..<classCount).contains(label) {
        targets[sample * classCount + label] += part
      }
    }
    return (BatchValues(mixed), targets)
  }
}

extension ImageRandom {
  /// Draws a number from the Gamma distribution with the given shape and scale 1 (Marsaglia and
  /// Tsang, 2000).
  mutating func gamma(_ shape: Double) -> Double {
    // Shapes below 1 are drawn with the shape plus 1, and scaled.
    let boost = shape < 1 ? Logarithm.exponential(Logarithm.natural(1 - unit()) / shape) : 1
    let d = (shape < 1 ? shape + 1 : shape) - 1.0 / 3
    let c = 1 / (9 * d).squareRoot()
    while true {
      let x = normal()
      let root = 1 + c * x
      guard root > 0 else { continue }
      let v = root * root * root
      let u = 1 - unit()
      if Logarithm.natural(u) < 0.5 * x * x + d - d * v + d * Logarithm.natural(v) {
        return d * v * boost
      }
    }
  }
}
