internal import CkptStateDicts
internal import TrainingCore

/// The learning rates of a fine-tuning: a scheduler that moves after each epoch, or after each step for one-cycle.
struct RateSchedule {
  let scheduler: LRScheduler
  private let isPerStep: Bool
  /// The rates of the first epoch or step, from which the scheduler works out all others.
  private let firstRates: [Double]
  /// Where warm-up begins, as a part of each rate: as in torchvision's reference scripts.
  private static let warmupStart = 0.01

  /// The schedule of some options for an optimizer whose rates are the groups' own.
  ///
  /// - Throws: `TrainingError.badArgument` for lengths that make no sense.
  init(_ options: FineTuningOptions, _ optimizer: any Optimizer, stepsPerEpoch: Int) throws {
    let epochs = max(options.epochs, 1)
    let rest = max(epochs - options.warmup, 1)
    func main() throws -> LRScheduler {
      switch options.schedule {
      case .constant: try ConstantLR(optimizer, factor: 1, totalIters: 0)
      case .step(let size, let gamma): try StepLR(optimizer, stepSize: size, gamma: gamma)
      case .cosine: try CosineAnnealingLR(optimizer, tMax: rest)
      case .oneCycle:
        try OneCycleLR(
          optimizer, maxLearningRates: optimizer.learningRates,
          totalSteps: max(epochs * stepsPerEpoch, 2),
          pctStart: options.warmup > 0 ? Double(options.warmup) / Double(epochs) : 0.3)
      }
    }
    isPerStep = options.schedule == .oneCycle
    if options.warmup > 0, !isPerStep {
      scheduler = try SequentialLR(
        [
          LinearLR(optimizer, startFactor: Self.warmupStart, totalIters: options.warmup), main(),
        ], milestones: [options.warmup])
    } else {
      scheduler = try main()
    }
    firstRates = scheduler.lastLearningRates
  }

  /// Moves on after a step; `isLast` says that no step follows in the whole training.
  func stepEnded(isLast: Bool) {
    if isPerStep, !isLast { scheduler.step() }
  }

  /// Moves on after an epoch.
  func epochEnded() {
    if !isPerStep { scheduler.step() }
  }

  /// Continues from a saved state; where the training has another length now and the rates depend on it, goes
  /// through the new schedule up to the same point instead.
  func restore(_ state: PlainValue, hasSameLength: Bool, epochs: Int, steps: Int) throws {
    if hasSameLength { return try scheduler.load(state) }
    // The optimizer has the rates with which the shorter training ended.
    scheduler.optimizer.learningRates = firstRates
    for _ in 0..<(isPerStep ? steps : epochs) { scheduler.step() }
  }
}
