/// Adam: PyTorch's `torch.optim.Adam`, whose documentation has the formulas (Kingma and Ba,
/// arXiv:1412.6980). ``AdamW`` is the same with decoupled weight decay.
public class Adam: Optimizer {
  /// The hyperparameters of a parameter group.
  public struct Options: OptimizerOptions, Sendable, Hashable {
    /// The learning rate, `lr` in PyTorch.
    public var learningRate: Double
    /// The decay rates of the running averages of the gradient and of its square.
    public var betas: Betas
    /// Added to the denominator for numerical stability, `eps` in PyTorch.
    public var epsilon: Double
    /// The factor of the L2 penalty, or of the decoupled weight decay.
    public var weightDecay: Double
    /// Whether the largest running average of the square so far is used (AMSGrad).
    public var amsgrad: Bool
    /// Whether the objective is maximized instead of minimized.
    public var maximize: Bool
    /// Whether weight decay shrinks the parameter itself instead of changing the gradient, as in
    /// AdamW.
    public var decoupledWeightDecay: Bool

    /// Hyperparameters; PyTorch's defaults of Adam where nothing is given.
    public init(
      learningRate: Double = 0.001, betas: Betas = Betas(0.9, 0.999), epsilon: Double = 1e-8,
      weightDecay: Double = 0, amsgrad: Bool = false, maximize: Bool = false,
      decoupledWeightDecay: Bool = false
    ) {
      self.learningRate = learningRate
      self.betas = betas
      self.epsilon = epsilon
      self.weightDecay = weightDecay
      self.amsgrad = amsgrad
      self.maximize = maximize
      self.decoupledWeightDecay = decoupledWeightDecay
    }

    /// PyTorch's default hyperparameters of Adam.
    public init() { self.init(learningRate: 0.001) }

    /// Hyperparameters; PyTorch's defaults of AdamW where nothing is given.
    public static func adamW(
      learningRate: Double = 0.001, betas: Betas = Betas(0.9, 0.999), epsilon: Double = 1e-8,
      weightDecay: Double = 0.01, amsgrad: Bool = false, maximize: Bool = false
    ) -> Options {
      Options(
        learningRate: learningRate, betas: betas, epsilon: epsilon, weightDecay: weightDecay,
        amsgrad: amsgrad, maximize: maximize, decoupledWeightDecay: true)
    }
  }

  /// The decay rates β₁ and β₂ of Adam's running averages.
  public struct Betas: Sendable, Hashable {
    /// β₁: how much of the running average of the gradient is kept in each step.
    public var beta1: Double
    /// β₂: how much of the running average of the squared gradient is kept in each step.
    public var beta2: Double

    /// β₁ and β₂, both from 0 on and below 1.
    public init(_ beta1: Double, _ beta2: Double) {
      self.beta1 = beta1
      self.beta2 = beta2
    }
  }

  /// The state of a parameter, with PyTorch's names.
  struct State {
    var step: Double
    var expAvg: Variable
    var expAvgSq: Variable
    var maxExpAvgSq: Variable?
  }

  /// The parameter groups; their options may be changed between steps.
  public var groups: [ParameterGroup<Options>]
  var states: [ObjectIdentifier: State] = [:]

  /// An optimizer of one parameter group.
  ///
  /// - Throws: `TrainingError.badArgument` for hyperparameters that PyTorch rejects, and if there
  ///   are no parameters.
  public convenience init(
    _ parameters: [Parameter], learningRate: Double = 0.001, betas: Betas = Betas(0.9, 0.999),
    epsilon: Double = 1e-8, weightDecay: Double = 0, amsgrad: Bool = false, maximize: Bool = false
  ) throws {
    try self.init(
      Options(
        learningRate: learningRate, betas: betas, epsilon: epsilon, weightDecay: weightDecay,
        amsgrad: amsgrad, maximize: maximize), groups: [.init(parameters)])
  }

  /// An optimizer of several parameter groups.
  ///
  /// - Parameters:
  ///   - defaults: the hyperparameters of groups that do not change them.
  ///   - groups: the parameters, each group with its changes to `defaults`.
  /// - Throws: `TrainingError.badArgument` for hyperparameters that PyTorch rejects, if there are
  ///   no parameters, and if one is in two groups.
  public init(_ defaults: Options, groups: [ParameterGroup<Options>]) throws {
    self.groups = groups.map { $0.completed(from: defaults) }
    try checkGroups(groups.map(\.parameters), "Adam")
    for options in self.groups.map(\.options) {
      try checkNotNegative(
        [
          "the learning rate": options.learningRate, "epsilon": options.epsilon,
          "weight decay": options.weightDecay, "beta 1": options.betas.beta1,
          "beta 2": options.betas.beta2,
        ], "Adam")
      guard options.betas.beta1 < 1, options.betas.beta2 < 1 else {
        throw TrainingError.badArgument(operation: "Adam", problem: "a beta is not below 1")
      }
    }
  }

  /// Updates every parameter that has a gradient, in place.
  ///
  /// - Throws: `TrainingError.outOfMemory` where memory for the running averages cannot be had.
  public func step() throws {
    for group in groups {
      for parameter in group.parameters {
        guard let gradient = try parameter.grad?.contiguous() else { continue }
        let id = ObjectIdentifier(parameter)
        func zeros() throws -> Variable {
          try Variable.zeros(parameter.shape, parameter.scalarType)
        }
        var state = try states[id] ?? State(step: 0, expAvg: zeros(), expAvgSq: zeros())
        if group.options.amsgrad, state.maxExpAvgSq == nil { state.maxExpAvgSq = try zeros() }
        state.step += 1
        states[id] = state
        parameter.scalarType == .float64
          ? move(Double.self, parameter, gradient, state, group.options)
          : move(Float.self, parameter, gradient, state, group.options)
      }
    }
  }

  private func move<T: Scalar>(
    _: T.Type, _ parameter: Parameter, _ gradient: Variable, _ state: State, _ options: Options
  ) {
    let (p, g) = (parameter.pointer(T.self), gradient.pointer(T.self))
    let (mean, square) = (state.expAvg.pointer(T.self), state.expAvgSq.pointer(T.self))
    let largest = options.amsgrad ? state.maxExpAvgSq?.pointer(T.self) : nil
    let sign: T = options.maximize ? -1 : 1
    let decay = T(options.decoupledWeightDecay ? 0 : options.weightDecay)
    let shrink = T(
      options.decoupledWeightDecay ? 1 - options.learningRate * options.weightDecay : 1)
    let (keepMean, keepSquare) = (T(options.betas.beta1), T(options.betas.beta2))
    let (newMean, newSquare) = (T(1 - options.betas.beta1), T(1 - options.betas.beta2))
    let size = T(options.learningRate / (1 - power(options.betas.beta1, state.step)))
    let root = T((1 - power(options.betas.beta2, state.step)).squareRoot())
    let epsilon = T(options.epsilon)
    ComputeThreads.split(parameter.count, grain: elementGrain) { range in
      for i in range {
        let old = p[i] * shrink
        let slope = sign * g[i] + decay * old
        mean[i] = keepMean * mean[i] + newMean * slope
        square[i] = keepSquare * square[i] + newSquare * slope * slope
        var under = square[i]
        if let largest {
          under = max(largest[i], under)
          largest[i] = under
        }
        p[i] = old - size * mean[i] / (under.squareRoot() / root + epsilon)
      }
    }
    keepAlive(parameter, gradient, state.expAvg, state.expAvgSq, state.maxExpAvgSq)
  }

  /// `base` to a whole power.
  private func power(_ base: Double, _ exponent: Double) -> Double {
    guard exponent.isFinite, exponent > 0 else { return 1 }
    var (result, factor) = (1.0, base)
    var rest = UInt64(min(exponent, 0x1p62))
    while rest > 0 {
      if rest & 1 == 1 { result *= factor }
      factor *= factor
      rest >>= 1
    }
    return result
  }
}

/// Adam with decoupled weight decay: PyTorch's `torch.optim.AdamW` (Loshchilov and Hutter,
/// arXiv:1711.05101).
///
/// For several parameter groups: `AdamW(.adamW(learningRate: 1e-3), groups: …)`.
public final class AdamW: Adam {
  /// An optimizer of one parameter group.
  ///
  /// - Throws: `TrainingError.badArgument` for hyperparameters that PyTorch rejects, and if there
  ///   are no parameters.
  public convenience init(
    _ parameters: [Parameter], learningRate: Double = 0.001, betas: Betas = Betas(0.9, 0.999),
    epsilon: Double = 1e-8, weightDecay: Double = 0.01, amsgrad: Bool = false,
    maximize: Bool = false
  ) throws {
    try self.init(
      .adamW(
        learningRate: learningRate, betas: betas, epsilon: epsilon, weightDecay: weightDecay,
        amsgrad: amsgrad, maximize: maximize), groups: [.init(parameters)])
  }
}
