internal import Foundation

/// Moves the learning rates from a low start up to `maxLearningRates` and down to almost nothing,
/// and momentum the other way: PyTorch's `OneCycleLR` (Smith and Topin, arXiv:1708.07120).
///
/// It is stepped after each batch, not after each epoch. Before step 0 the rate is
/// `maxLearningRate / divFactor`, after the first phase `maxLearningRate`, at the last step
/// `maxLearningRate / divFactor / finalDivFactor`. For `SGD` the momentum is cycled, for `Adam` the
/// first beta.
///
/// The bounds belong to the optimizer's parameter groups, whose state has them, as in PyTorch.
/// After the last step the rates are constant; PyTorch's scheduler throws an error.
public final class OneCycleLR: LRScheduler {
  /// The path from one rate to another.
  public enum Annealing: String, Sendable, CaseIterable {
    /// Half a cosine wave.
    case cos
    /// A straight line.
    case linear
  }

  /// A bound of a parameter group, under its name in PyTorch.
  enum Bound: String {
    case initialRate = "initial_lr"
    case maxRate = "max_lr"
    case minRate = "min_lr"
    case maxMomentum = "max_momentum"
    case baseMomentum = "base_momentum"
  }

  /// A part of the cycle. It begins where the phase before it ends.
  struct Phase {
    /// The number of its last step; a fraction if it ends between two steps.
    var endStep: Double
    var rate: (start: Bound, end: Bound)
    var momentum: (start: Bound, end: Bound)
  }

  var totalSteps: Int
  var phases: [Phase]
  var annealing: Annealing
  var cycleMomentum: Bool

  /// A scheduler that has set the learning rates and momenta of the first step.
  ///
  /// - Parameters:
  ///   - optimizer: the optimizer whose learning rates change.
  ///   - maxLearningRates: the highest learning rate of each parameter group, or one for all;
  ///     `max_lr` in PyTorch.
  ///   - totalSteps: the number of steps of the cycle: epochs times batches an epoch.
  ///   - pctStart: the part of the steps in which rates rise, from 0 to 1.
  ///   - annealing: the path from rate to rate, `anneal_strategy` in PyTorch.
  ///   - cycleMomentum: whether momentum is changed, too.
  ///   - baseMomentum: the momentum at the highest rate.
  ///   - maxMomentum: the momentum at the lowest rates.
  ///   - divFactor: the highest rate divided by the initial rate.
  ///   - finalDivFactor: the initial rate divided by the last one.
  ///   - threePhase: whether rates fall to the initial rate in as many steps as they rose, and to
  ///     the last one only then.
  /// - Throws: `TrainingError.badArgument` for numbers out of these ranges, for another number of
  ///   rates than groups, and if momentum is to be cycled that the optimizer does not have.
  public init(
    _ optimizer: any Optimizer, maxLearningRates: [Double], totalSteps: Int,
    pctStart: Double = 0.3, annealing: Annealing = .cos, cycleMomentum: Bool = true,
    baseMomentum: Double = 0.85, maxMomentum: Double = 0.95, divFactor: Double = 25,
    finalDivFactor: Double = 1e4, threePhase: Bool = false
  ) throws {
    try Self.check((1...Self.longestPeriod).contains(totalSteps), "\(totalSteps) steps")
    try Self.check((0...1).contains(pctStart), "a rising part of \(pctStart)")
    let count = optimizer.learningRates.count
    try Self.check(
      maxLearningRates.count == count || maxLearningRates.count == 1,
      "\(maxLearningRates.count) highest learning rates for \(count) parameter groups")
    for rate in maxLearningRates {
      try Self.check(rate >= 0 && rate.isFinite, "a learning rate of \(rate)")
    }
    for factor in [divFactor, finalDivFactor] {
      try Self.check(factor > 0 && factor.isFinite, "a learning rate divided by \(factor)")
    }
    for momentum in [baseMomentum, maxMomentum] where cycleMomentum {
      try Self.check(momentum >= 0 && momentum < 1, "a momentum of \(momentum)")
    }
    try Self.check(
      !cycleMomentum || optimizer.momenta != nil, "a cycle of momentum that there is not")

    let steps = Double(totalSteps)
    let rise = Phase(
      endStep: pctStart * steps - 1, rate: (.initialRate, .maxRate),
      momentum: (.maxMomentum, .baseMomentum))
    phases =
      threePhase
      ? [
        rise,
        Phase(
          endStep: 2 * pctStart * steps - 2, rate: (.maxRate, .initialRate),
          momentum: (.baseMomentum, .maxMomentum)),
        Phase(
          endStep: steps - 1, rate: (.initialRate, .minRate), momentum: (.maxMomentum, .maxMomentum)
        ),
      ]
      : [
        rise,
        Phase(
          endStep: steps - 1, rate: (.maxRate, .minRate), momentum: (.baseMomentum, .maxMomentum)),
      ]
    self.totalSteps = totalSteps
    self.annealing = annealing
    self.cycleMomentum = cycleMomentum
    let rates = (0..<count).map { maxLearningRates[maxLearningRates.count == 1 ? 0 : $0] }
    optimizer.initialLearningRates = rates.map { $0 / divFactor }
    optimizer.cycleBounds = rates.map {
      CycleBounds(
        maxRate: $0, minRate: $0 / divFactor / finalDivFactor,
        momentum: cycleMomentum ? (max: maxMomentum, base: baseMomentum) : nil)
    }
    super.init(optimizer)
    start()
  }

  override func rates(_ rates: [Double]) -> [Double] {
    let bounds = optimizer.cycleBounds
    let initial = optimizer.initialLearningRates
    // A step past the end stays at the end; just after the last step PyTorch goes on along the
    // curve.
    let step = Double(lastEpoch > totalSteps ? totalSteps - 1 : lastEpoch)
    let index = phases.firstIndex { step <= $0.endStep } ?? phases.count - 1
    let phase = phases[index]
    let begin = index == 0 ? 0 : phases[index - 1].endStep
    // PyTorch divides by zero in a phase of no length.
    let part = phase.endStep == begin ? 1 : (step - begin) / (phase.endStep - begin)

    func value(_ bound: Bound, _ group: Int) -> Double? {
      switch bound {
      case .initialRate: initial[group]
      case .maxRate: bounds[group]?.maxRate
      case .minRate: bounds[group]?.minRate
      case .maxMomentum: bounds[group]?.momentum?.max
      case .baseMomentum: bounds[group]?.momentum?.base
      }
    }
    func annealed(_ ends: (start: Bound, end: Bound), _ group: Int) -> Double? {
      guard let start = value(ends.start, group), let end = value(ends.end, group) else {
        return nil
      }
      return switch annealing {
      case .cos: end + (start - end) / 2 * (Foundation.cos(.pi * part) + 1)
      case .linear: (end - start) * part + start
      }
    }
    if cycleMomentum, let momenta = optimizer.momenta {
      optimizer.momenta = zip(momenta.indices, momenta).map { annealed(phase.momentum, $0) ?? $1 }
    }
    return zip(rates.indices, rates).map { annealed(phase.rate, $0) ?? $1 }
  }
}

/// The bounds between which ``OneCycleLR`` moves the rate and the momentum of a parameter group.
struct CycleBounds {
  var maxRate: Double
  var minRate: Double
  /// Nil if momentum is not cycled.
  var momentum: (max: Double, base: Double)?
}

/// Hyperparameters with a momentum that ``OneCycleLR`` can cycle.
protocol MomentumOptions: OptimizerOptions {
  var cycledMomentum: Double { get set }
}

extension SGD.Options: MomentumOptions {
  var cycledMomentum: Double {
    get { momentum }
    set { momentum = newValue }
  }
}

extension Adam.Options: MomentumOptions {
  var cycledMomentum: Double {
    get { betas.beta1 }
    set { betas.beta1 = newValue }
  }
}

extension Optimizer {
  /// The bounds of each parameter group; nil until a ``OneCycleLR`` is made.
  var cycleBounds: [CycleBounds?] {
    get { groups.map(\.cycleBounds) }
    set { for (i, bounds) in zip(groups.indices, newValue) { groups[i].cycleBounds = bounds } }
  }

  /// The momentum of each parameter group, or its first beta; nil if the optimizer has neither.
  var momenta: [Double]? {
    get {
      let all = groups.compactMap { ($0.options as? any MomentumOptions)?.cycledMomentum }
      return all.count == groups.count ? all : nil
    }
    set {
      for (i, momentum) in zip(groups.indices, newValue ?? []) {
        guard var options = groups[i].options as? any MomentumOptions else { continue }
        options.cycledMomentum = momentum
        if let changed = options as? Options { groups[i].options = changed }
      }
    }
  }
}
