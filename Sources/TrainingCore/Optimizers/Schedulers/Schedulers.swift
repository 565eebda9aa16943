internal import Foundation

/// Multiplies the learning rates by `gamma` every `stepSize` epochs: PyTorch's `StepLR`.
public final class StepLR: LRScheduler {
  var stepSize: Int
  var gamma: Double

  /// A scheduler that has set the learning rates of epoch 0.
  ///
  /// - Parameters:
  ///   - optimizer: the optimizer whose learning rates change.
  ///   - stepSize: the number of epochs between two changes.
  ///   - gamma: the factor of each change.
  /// - Throws: `TrainingError.badArgument` if `stepSize` is not positive.
  public init(_ optimizer: any Optimizer, stepSize: Int, gamma: Double = 0.1) throws {
    try Self.check(stepSize > 0, "a step size of \(stepSize)")
    self.stepSize = stepSize
    self.gamma = gamma
    super.init(optimizer)
    start()
  }

  override func rates(_ rates: [Double]) -> [Double] {
    lastEpoch > 0 && lastEpoch % stepSize == 0 ? rates.map { $0 * gamma } : rates
  }

  override func closedRates() -> [Double]? {
    baseLearningRates.map { $0 * Foundation.pow(gamma, Double(lastEpoch / stepSize)) }
  }
}

/// Multiplies the learning rates by `gamma` at each milestone: PyTorch's `MultiStepLR`.
public final class MultiStepLR: LRScheduler {
  /// The epochs, with the number of times that each is listed.
  var milestones: [(epoch: Int, times: Int)] = []
  var gamma: Double

  /// A scheduler that has set the learning rates of epoch 0.
  ///
  /// - Parameters:
  ///   - optimizer: the optimizer whose learning rates change.
  ///   - milestones: the numbers of the epochs; one that is listed twice counts twice.
  ///   - gamma: the factor of each change.
  public init(_ optimizer: any Optimizer, milestones: [Int], gamma: Double = 0.1) {
    for epoch in milestones {
      if let index = self.milestones.firstIndex(where: { $0.epoch == epoch }) {
        self.milestones[index].times += 1
      } else {
        self.milestones.append((epoch, 1))
      }
    }
    self.gamma = gamma
    super.init(optimizer)
    start()
  }

  private func decay(_ counts: (Int) -> Bool) -> Double {
    Foundation.pow(
      gamma, milestones.reduce(0) { $0 + (counts($1.epoch) ? Double($1.times) : 0) })
  }

  override func rates(_ rates: [Double]) -> [Double] {
    guard milestones.contains(where: { $0.epoch == lastEpoch }) else { return rates }
    let factor = decay { $0 == lastEpoch }
    return rates.map { $0 * factor }
  }

  override func closedRates() -> [Double]? {
    let factor = decay { $0 <= lastEpoch }
    return baseLearningRates.map { $0 * factor }
  }
}

/// Multiplies the learning rates by `gamma` every epoch: PyTorch's `ExponentialLR`.
public final class ExponentialLR: LRScheduler {
  var gamma: Double

  /// A scheduler that has set the learning rates of epoch 0.
  ///
  /// - Parameters:
  ///   - optimizer: the optimizer whose learning rates change.
  ///   - gamma: the factor of each change.
  public init(_ optimizer: any Optimizer, gamma: Double) {
    self.gamma = gamma
    super.init(optimizer)
    start()
  }

  override func rates(_ rates: [Double]) -> [Double] {
    lastEpoch == 0 ? rates : rates.map { $0 * gamma }
  }

  override func closedRates() -> [Double]? {
    baseLearningRates.map { $0 * Foundation.pow(gamma, Double(lastEpoch)) }
  }
}

/// Moves the learning rates along a cosine from their initial values to `etaMin` and back:
/// PyTorch's `CosineAnnealingLR` (Loshchilov and Hutter, arXiv:1608.03983).
///
/// The rate of epoch t is `etaMin + (base - etaMin) (1 + cos(π t / tMax)) / 2`.
public final class CosineAnnealingLR: LRScheduler {
  var tMax: Int
  var etaMin: Double

  /// A scheduler that has set the learning rates of epoch 0.
  ///
  /// - Parameters:
  ///   - optimizer: the optimizer whose learning rates change.
  ///   - tMax: the number of epochs from the initial rate to the smallest, `T_max` in PyTorch.
  ///   - etaMin: the smallest learning rate, `eta_min` in PyTorch.
  /// - Throws: `TrainingError.badArgument` if `tMax` is not positive.
  public init(_ optimizer: any Optimizer, tMax: Int, etaMin: Double = 0) throws {
    try Self.check(
      (1...Self.longestPeriod).contains(tMax), "a half period of \(tMax) epochs")
    self.tMax = tMax
    self.etaMin = etaMin
    super.init(optimizer)
    start()
  }

  private func height(_ epoch: Int) -> Double {
    1 + Foundation.cos(.pi * Double(epoch) / Double(tMax))
  }

  override func rates(_ rates: [Double]) -> [Double] {
    if lastEpoch == 0 { return rates }
    // One epoch after the minimum, the quotient below is 0/0.
    if (lastEpoch - 1 - tMax) % (2 * tMax) == 0 {
      return zip(rates, baseLearningRates).map { rate, base in
        rate + (base - etaMin) * (1 - Foundation.cos(.pi / Double(tMax))) / 2
      }
    }
    return rates.map { height(lastEpoch) / height(lastEpoch - 1) * ($0 - etaMin) + etaMin }
  }

  override func closedRates() -> [Double]? {
    baseLearningRates.map { etaMin + ($0 - etaMin) * height(lastEpoch) / 2 }
  }
}

/// Moves the factor of the learning rates evenly from one value to another: PyTorch's `LinearLR`,
/// the usual warm-up.
public final class LinearLR: LRScheduler {
  var startFactor: Double
  var endFactor: Double
  var totalIters: Int

  /// A scheduler that has set the learning rates of epoch 0.
  ///
  /// - Parameters:
  ///   - optimizer: the optimizer whose learning rates change.
  ///   - startFactor: the factor of epoch 0, above 0 and at most 1.
  ///   - endFactor: the factor from epoch `totalIters` on, from 0 to 1.
  ///   - totalIters: the number of epochs from the first factor to the last, `total_iters` in
  ///     PyTorch.
  /// - Throws: `TrainingError.badArgument` for factors or epochs out of these ranges.
  public init(
    _ optimizer: any Optimizer, startFactor: Double = 1.0 / 3, endFactor: Double = 1,
    totalIters: Int = 5
  ) throws {
    try Self.check(startFactor > 0 && startFactor <= 1, "a start factor of \(startFactor)")
    try Self.check(endFactor >= 0 && endFactor <= 1, "an end factor of \(endFactor)")
    try Self.check(totalIters > 0, "\(totalIters) epochs")
    self.startFactor = startFactor
    self.endFactor = endFactor
    self.totalIters = totalIters
    super.init(optimizer)
    start()
  }

  override func rates(_ rates: [Double]) -> [Double] {
    if lastEpoch == 0 { return rates.map { $0 * startFactor } }
    if lastEpoch > totalIters { return rates }
    let gain = endFactor - startFactor
    let factor = 1 + gain / (Double(totalIters) * startFactor + Double(lastEpoch - 1) * gain)
    return rates.map { $0 * factor }
  }

  override func closedRates() -> [Double]? {
    let part = Double(min(totalIters, lastEpoch)) / Double(totalIters)
    return baseLearningRates.map { $0 * (startFactor + (endFactor - startFactor) * part) }
  }
}

/// Multiplies the learning rates by a factor for the first epochs: PyTorch's `ConstantLR`, a
/// warm-up in one step.
public final class ConstantLR: LRScheduler {
  var factor: Double
  var totalIters: Int

  /// A scheduler that has set the learning rates of epoch 0.
  ///
  /// - Parameters:
  ///   - optimizer: the optimizer whose learning rates change.
  ///   - factor: the factor of the first epochs, above 0 and at most 1.
  ///   - totalIters: the number of these epochs, `total_iters` in PyTorch.
  /// - Throws: `TrainingError.badArgument` for factors or epochs out of these ranges.
  public init(_ optimizer: any Optimizer, factor: Double = 1.0 / 3, totalIters: Int = 5) throws {
    try Self.check(factor > 0 && factor <= 1, "a factor of \(factor)")
    self.factor = factor
    self.totalIters = totalIters
    super.init(optimizer)
    start()
  }

  override func rates(_ rates: [Double]) -> [Double] {
    if lastEpoch == 0 { return rates.map { $0 * factor } }
    return lastEpoch == totalIters ? rates.map { $0 / factor } : rates
  }

  override func closedRates() -> [Double]? {
    baseLearningRates.map { $0 * (lastEpoch >= totalIters ? 1 : factor) }
  }
}

/// Schedulers one after another, each from a milestone on: PyTorch's `SequentialLR`.
public final class SequentialLR: LRScheduler {
  let schedulers: [LRScheduler]
  var milestones: [Int]

  /// A scheduler that has set the learning rates of epoch 0.
  ///
  /// - Parameters:
  ///   - schedulers: schedulers of the same optimizer.
  ///   - milestones: the epochs at which the second scheduler begins, the third, and so on, in
  ///     rising order.
  /// - Throws: `TrainingError.badArgument` if there are no schedulers, if they have several
  ///   optimizers, or if the milestones are not in order or too many or few.
  public init(_ schedulers: [LRScheduler], milestones: [Int]) throws {
    guard let first = schedulers.first else {
      throw TrainingError.badArgument(operation: "scheduler", problem: "an empty sequence")
    }
    try Self.check(
      milestones.count == schedulers.count - 1 && milestones == milestones.sorted(),
      "\(schedulers.count) schedulers with the milestones \(milestones)")
    try Self.check(
      schedulers.allSatisfy { $0.optimizer === first.optimizer }, "schedulers of several optimizers"
    )
    self.schedulers = schedulers
    self.milestones = milestones
    super.init(first.optimizer)
    // Each scheduler set the learning rates of its epoch 0 when it was created; the first active
    // one sets them again.
    optimizer.learningRates = baseLearningRates
    for scheduler in schedulers { scheduler.lastEpoch = -1 }
    let due = schedulers[milestones.count { $0 <= 0 }]
    due.lastEpoch = 0
    due.start()
  }

  /// Goes to the next epoch and sets its learning rates by the scheduler that is due.
  override public func step() {
    lastEpoch += 1
    let active = milestones.count { $0 <= lastEpoch }
    if active > 0, milestones[active - 1] == lastEpoch {
      schedulers[active].restart()
    } else {
      schedulers[active].step()
    }
  }
}
