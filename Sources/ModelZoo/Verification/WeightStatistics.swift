internal import Foundation
internal import TrainingCore

/// The moments of a tensor's elements, and the counts of unusual ones.
struct WeightStatistics {
  let count: Int
  private(set) var notFinite = 0
  private(set) var zeros = 0
  /// Σ x, Σ x², Σ x⁴ over the finite ones.
  private(set) var sums = (0.0, 0.0, 0.0)
  private(set) var largest = 0.0
  /// Whether all elements are equal.
  private(set) var isConstant = true

  init(_ values: [Float]) {
    count = values.count
    for value in values {
      guard value.isFinite else {
        notFinite += 1
        continue
      }
      let x = Double(value)
      let square = x * x
      sums.0 += x
      sums.1 += square
      sums.2 += square * square
      if value == 0 { zeros += 1 }
      if value != values[0] { isConstant = false }
      largest = max(largest, x.magnitude)
    }
  }

  var mean: Double { sums.0 / Double(max(count, 1)) }
  /// The root mean square, which is the standard deviation if the mean is 0.
  var rootMeanSquare: Double { (sums.1 / Double(max(count, 1))).squareRoot() }
}

/// A distribution from which libraries initialize a layer's weights, and a test of whether weights
/// have it.
struct DefaultInitialization: Hashable {
  enum Shape: Hashable {
    case uniform
    case normal

    /// For standard deviation 1: the fourth moment μ₄, and the variances of a sample's second and
    /// fourth moments about 0 times the sample's size, μ₄ - 1 and μ₈ - μ₄².
    var moments: (fourth: Double, secondVariance: Double, fourthVariance: Double) {
      switch self {
      case .uniform: (1.8, 0.8, 9 - 1.8 * 1.8)
      case .normal: (3, 2, 105 - 9)
      }
    }
  }

  let name: String
  let shape: Shape
  let standardDeviation: Double

  /// The initial distributions of libraries for a weight of the given shape.
  static func known(for sizes: [Int], others: [Double]) -> [DefaultInitialization] {
    func normal(_ name: String, _ standardDeviation: Double) -> Self {
      Self(name: name, shape: .normal, standardDeviation: standardDeviation)
    }
    func uniform(_ name: String, _ initialization: Initialization) -> Self {
      Self(
        name: name, shape: .uniform, standardDeviation: initialization.standardDeviation(for: sizes)
      )
    }
    let kaiming = Initialization.kaimingUniform(a: 0).standardDeviation(for: sizes)
    return [
      uniform("PyTorch's default", .kaimingUniform(a: 5.0.squareRoot())),
      uniform("Xavier's uniform", .xavierUniform),
      normal(
        "Kaiming's normal by fan-out",
        Initialization.kaimingNormalFanOut.standardDeviation(for: sizes)),
      normal("Kaiming's normal by fan-in", kaiming),
      normal("the normal by fan-in", kaiming * 0.5.squareRoot()),
      normal("the normal of deviation 0.02", 0.02),
      normal("the normal of deviation 0.01", 0.01),
      normal("the normal of deviation 1", 1),
    ] + others.map { normal("the normal of deviation " + String(format: "%.3g", $0), $0) }
  }

  /// Whether the elements may be a sample of this distribution: the mean and the second and fourth
  /// moments are within five standard deviations, and no element exceeds a uniform distribution's
  /// bound.
  func fits(_ statistics: WeightStatistics) -> Bool {
    guard standardDeviation > 0, statistics.notFinite == 0 else { return false }
    var sample = PooledSample(shape: shape)
    sample.add(statistics, standardDeviation: standardDeviation)
    // Training moves some weights across the bound, even if slightly; float16 and bfloat16 are
    // rounded.
    let bound = standardDeviation * 3.0.squareRoot() * (1 + 0x1p-8)
    return sample.fits && (shape == .normal || statistics.largest <= bound)
  }

  /// The relative difference between the root mean square and the standard deviation.
  func distance(to statistics: WeightStatistics) -> Double {
    let distance = (statistics.rootMeanSquare / standardDeviation - 1).magnitude
    return distance.isFinite ? distance : 1
  }

  /// Whether the sample suffices as proof: if it is large, or if it is of a uniform distribution,
  /// whose bound trained weights exceed.
  func isCertain(_ statistics: WeightStatistics) -> Bool {
    statistics.count >= (shape == .uniform ? 256 : 1 << 16)
  }
}

/// The weights of several layers, each divided by the standard deviation of its initialization.
struct PooledSample {
  let shape: DefaultInitialization.Shape
  private(set) var count = 0.0
  private var sums = (0.0, 0.0, 0.0)

  init(shape: DefaultInitialization.Shape) { self.shape = shape }

  mutating func add(_ statistics: WeightStatistics, standardDeviation: Double) {
    let square = standardDeviation * standardDeviation
    count += Double(statistics.count)
    sums.0 += statistics.sums.0 / standardDeviation
    sums.1 += statistics.sums.1 / square
    sums.2 += statistics.sums.2 / (square * square)
  }

  /// Whether the mean and the second and fourth moments are those of the distribution, within five
  /// standard deviations.
  var fits: Bool {
    guard count > 0 else { return true }
    let moments = shape.moments
    let root = count.squareRoot()
    return (sums.0 / root).magnitude <= 5
      && ((sums.1 / count - 1) * root).magnitude <= 5 * moments.secondVariance.squareRoot()
      && ((sums.2 / count - moments.fourth) * root).magnitude
        <= 5 * moments.fourthVariance.squareRoot()
  }
}
