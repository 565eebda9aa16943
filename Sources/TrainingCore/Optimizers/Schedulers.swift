internal import Foundation

/// Changes an optimiser's learning rates from epoch to epoch: `torch.optim.lr_scheduler`.
///
/// Every param group moves from its own start. Like PyTorch's, rates follow from those before, so that
/// what somebody changed by hand in between has its effect.
public class Scheduler {
  /// What it moves.
  public let optimizer: any Optimizer
  /// How many times it has moved the rates; -1 in a sequence that has not come to it.
  public internal(set) var lastEpoch = 0
  /// The rate that each group began with.
  public internal(set) var baseRates: [Double]

  /// The rates now.
  public var lastRates: [Double] { optimizer.learningRates }

  init(_ optimizer: any Optimizer) {
    self.optimizer = optimizer
    optimizer.initialLearningRates = zip(
      optimizer.initialLearningRates, optimizer.learningRates
    ).map { $0 ?? $1 }
    baseRates = optimizer.initialLearningRates.compactMap(\.self)
  }

  /// Sets the rates of the first epoch; the last thing that an initialiser does.
  final func start() { optimizer.learningRates = rates(optimizer.learningRates) }

  /// Goes on to the next epoch; called after the optimiser's steps of an epoch.
  public func step() {
    lastEpoch += 1
    optimizer.learningRates = rates(optimizer.learningRates)
  }

  /// Begins again from the first rates, in the middle of a sequence.
  func restart() {
    lastEpoch = 0
    optimizer.learningRates = closedRates() ?? rates(optimizer.learningRates)
  }

  /// The rates of `lastEpoch`, given those before.
  func rates(_ rates: [Double]) -> [Double] { rates }

  /// The rates of `lastEpoch`, where PyTorch has a formula that does not need those before.
  func closedRates() -> [Double]? { nil }

  /// More epochs than any training has; keeps sums of them within an `Int`.
  static let longestPeriod = 1 << 40

  static func check(_ isFine: Bool, _ problem: @autoclosure () -> String) throws {
    if !isFine { throw TrainingError.badArgument(operation: "scheduler", problem: problem()) }
  }
}

/// Multiplies the rates by `gamma` every `stepSize` epochs.
public final class StepLR: Scheduler {
  var stepSize: Int
  var gamma: Double

  /// Every `stepSize` epochs, by `gamma`.
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
    baseRates.map { $0 * Foundation.pow(gamma, Double(lastEpoch / stepSize)) }
  }
}

/// Multiplies the rates by `gamma` at each milestone.
public final class MultiStepLR: Scheduler {
  /// The epochs, and how often each counts.
  var milestones: [(epoch: Int, times: Int)] = []
  var gamma: Double

  /// At the epochs `milestones`, by `gamma`; an epoch that is told twice counts twice.
  public init(_ optimizer: any Optimizer, milestones: [Int], gamma: Double = 0.1) {
    for epoch in milestones {
      if let place = self.milestones.firstIndex(where: { $0.epoch == epoch }) {
        self.milestones[place].times += 1
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
    return baseRates.map { $0 * factor }
  }
}

/// Multiplies the rates by `gamma` every epoch.
public final class ExponentialLR: Scheduler {
  var gamma: Double

  /// Every epoch, by `gamma`.
  public init(_ optimizer: any Optimizer, gamma: Double) {
    self.gamma = gamma
    super.init(optimizer)
    start()
  }

  override func rates(_ rates: [Double]) -> [Double] {
    lastEpoch == 0 ? rates : rates.map { $0 * gamma }
  }

  override func closedRates() -> [Double]? {
    baseRates.map { $0 * Foundation.pow(gamma, Double(lastEpoch)) }
  }
}

/// Lets the rates fall along half a cosine and rise again (Loshchilov and Hutter, arXiv:1608.03983).
public final class CosineAnnealingLR: Scheduler {
  var halfPeriod: Int
  var least: Double

  /// Down to `least` in `halfPeriod` epochs (`T_max` and `eta_min`).
  public init(_ optimizer: any Optimizer, halfPeriod: Int, least: Double = 0) throws {
    try Self.check(
      (1...Self.longestPeriod).contains(halfPeriod), "a half period of \(halfPeriod) epochs")
    self.halfPeriod = halfPeriod
    self.least = least
    super.init(optimizer)
    start()
  }

  private func height(_ epoch: Int) -> Double {
    1 + Foundation.cos(.pi * Double(epoch) / Double(halfPeriod))
  }

  override func rates(_ rates: [Double]) -> [Double] {
    if lastEpoch == 0 { return rates }
    // Just past the bottom the quotient below is one of zeros.
    if (lastEpoch - 1 - halfPeriod) % (2 * halfPeriod) == 0 {
      return zip(rates, baseRates).map { rate, base in
        rate + (base - least) * (1 - Foundation.cos(.pi / Double(halfPeriod))) / 2
      }
    }
    return rates.map { height(lastEpoch) / height(lastEpoch - 1) * ($0 - least) + least }
  }

  override func closedRates() -> [Double]? {
    baseRates.map { least + ($0 - least) * height(lastEpoch) / 2 }
  }
}

/// Moves the rates' factor evenly from one value to another: a warm-up, where the first is small.
public final class LinearLR: Scheduler {
  var startFactor: Double
  var endFactor: Double
  var epochs: Int

  /// From `startFactor` to `endFactor` in `epochs` epochs (`total_iters`).
  public init(
    _ optimizer: any Optimizer, startFactor: Double = 1.0 / 3, endFactor: Double = 1,
    epochs: Int = 5
  ) throws {
    try Self.check(startFactor > 0 && startFactor <= 1, "a start factor of \(startFactor)")
    try Self.check(endFactor >= 0 && endFactor <= 1, "an end factor of \(endFactor)")
    try Self.check(epochs > 0, "\(epochs) epochs")
    self.startFactor = startFactor
    self.endFactor = endFactor
    self.epochs = epochs
    super.init(optimizer)
    start()
  }

  override func rates(_ rates: [Double]) -> [Double] {
    if lastEpoch == 0 { return rates.map { $0 * startFactor } }
    if lastEpoch > epochs { return rates }
    let gain = endFactor - startFactor
    let factor = 1 + gain / (Double(epochs) * startFactor + Double(lastEpoch - 1) * gain)
    return rates.map { $0 * factor }
  }

  override func closedRates() -> [Double]? {
    let part = Double(min(epochs, lastEpoch)) / Double(epochs)
    return baseRates.map { $0 * (startFactor + (endFactor - startFactor) * part) }
  }
}

/// Multiplies the rates by a factor for some epochs: a warm-up in one step.
public final class ConstantLR: Scheduler {
  var factor: Double
  var epochs: Int

  /// By `factor` for `epochs` epochs (`total_iters`).
  public init(_ optimizer: any Optimizer, factor: Double = 1.0 / 3, epochs: Int = 5) throws {
    try Self.check(factor > 0 && factor <= 1, "a factor of \(factor)")
    self.factor = factor
    self.epochs = epochs
    super.init(optimizer)
    start()
  }

  override func rates(_ rates: [Double]) -> [Double] {
    if lastEpoch == 0 { return rates.map { $0 * factor } }
    return lastEpoch == epochs ? rates.map { $0 / factor } : rates
  }

  override func closedRates() -> [Double]? {
    baseRates.map { $0 * (lastEpoch >= epochs ? 1 : factor) }
  }
}

/// One scheduler after the other, each from a milestone on.
public final class SequentialLR: Scheduler {
  let schedulers: [Scheduler]
  var milestones: [Int]

  /// Schedulers of one optimiser, the second from the first milestone on, and so on.
  public init(_ schedulers: [Scheduler], milestones: [Int]) throws {
    guard let first = schedulers.first else {
      throw TrainingError.badArgument(operation: "scheduler", problem: "an empty sequence")
    }
    try Self.check(
      milestones.count == schedulers.count - 1 && milestones == milestones.sorted(),
      "\(schedulers.count) schedulers with the milestones \(milestones)")
    try Self.check(
      schedulers.allSatisfy { $0.optimizer === first.optimizer }, "schedulers of several optimisers"
    )
    self.schedulers = schedulers
    self.milestones = milestones
    super.init(first.optimizer)
    // Making the schedulers moved the rates; the one that is due begins from the start.
    optimizer.learningRates = baseRates
    for scheduler in schedulers { scheduler.lastEpoch = -1 }
    let due = schedulers[milestones.count { $0 <= 0 }]
    due.lastEpoch = 0
    due.start()
  }

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
