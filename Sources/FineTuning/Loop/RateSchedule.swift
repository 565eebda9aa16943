internal import CkptStateDicts
internal import TrainingCore

/// The scheduler of a fine-tuning's learning rates, which steps after each epoch, or for one-cycle
/// after each optimizer step.
struct RateSchedule {
  /// The scheduler, which sets the rates of the optimizer.
  let scheduler: LRScheduler
  /// Whether the scheduler steps after each optimizer step.
  private let isPerStep: Bool
  /// The rates of the first epoch or step, from which the scheduler computes all others.
  private let firstRates: [Double]
  /// The factor of each rate at the start of warm-up, as in torchvision's reference scripts.
  private static let warmupStart = 0.01

  /// Creates the schedule for an optimizer whose rates are those before any schedule.
  ///
  /// - Throws: `TrainingError.badArgument` if a scheduler does not accept an option.
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

  /// Called after each optimizer step; `isLast` is true for the last step of the training.
  func stepEnded(isLast: Bool) {
    if isPerStep, !isLast { scheduler.step() }
  }

  /// Called after each epoch.
  func epochEnded() {
    if !isPerStep { scheduler.step() }
  }

  /// Restores a saved state. If the training has another length now and the rates depend on it, the
  /// new schedule is stepped to the same point instead.
  ///
  /// - Parameters:
  ///   - state: the saved state of the scheduler.
  ///   - hasSameLength: whether the saved state is of the same schedule.
  ///   - epochs: the number of finished epochs.
  ///   - steps: the number of optimizer steps taken in the whole training.
  /// - Throws: `TrainingError` if the state does not fit the scheduler.
  func restore(_ state: PlainValue, hasSameLength: Bool, epochs: Int, steps: Int) throws {
    if hasSameLength { return try scheduler.load(state) }
    // The optimizer has the rates at the end of the shorter training.
    scheduler.optimizer.learningRates = firstRates
    for _ in 0..<(isPerStep ? steps : epochs) { scheduler.step() }
  }
}
