/// Steps by the gradient's running mean over the root of its running square, as `torch.optim.Adam` and
/// `torch.optim.AdamW` do it (Kingma and Ba, arXiv:1412.6980; Loshchilov and Hutter, arXiv:1711.05101).
public final class Adam: Optimizer {
  /// How parameters are moved.
  public struct Options: Sendable, Hashable, DefaultConstructible {
    /// How far a step goes.
    public var learningRate: Double
    /// How much of the running mean and of the running square is kept.
    public var betas: Betas
    /// Added to the root of the running square.
    public var epsilon: Double
    /// How much of the parameter is added to the gradient, or taken from the parameter itself.
    public var weightDecay: Double
    /// Whether the largest running square so far is used.
    public var amsgrad: Bool
    /// Whether the loss is to grow rather than to fall.
    public var maximize: Bool
    /// Whether weight decay acts on the parameter itself, as in AdamW.
    public var decoupledWeightDecay: Bool

    /// Adam's defaults in PyTorch unless told.
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

    /// Adam's defaults in PyTorch.
    public init() { self.init(learningRate: 0.001) }

    /// AdamW's defaults in PyTorch unless told.
    public static func adamW(
      learningRate: Double = 0.001, betas: Betas = Betas(0.9, 0.999), epsilon: Double = 1e-8,
      weightDecay: Double = 0.01, amsgrad: Bool = false, maximize: Bool = false
    ) -> Options {
      Options(
        learningRate: learningRate, betas: betas, epsilon: epsilon, weightDecay: weightDecay,
        amsgrad: amsgrad, maximize: maximize, decoupledWeightDecay: true)
    }
  }

  /// How much of the running mean and of the running square is kept.
  public struct Betas: Sendable, Hashable {
    /// For the mean.
    public var mean: Double
    /// For the square.
    public var square: Double

    /// For the mean and for the square.
    public init(_ mean: Double, _ square: Double) {
      self.mean = mean
      self.square = square
    }
  }

  /// What is kept for a parameter.
  struct State {
    var step: Double
    var mean: Variable
    var square: Variable
    var largestSquare: Variable?
  }

  /// The param groups; their options may be changed between steps.
  public var groups: [ParameterGroup<Options>]
  var states: [ObjectIdentifier: State] = [:]

  /// An optimiser of one group.
  ///
  /// - Throws: `TrainingError.badArgument` for options that make no sense.
  public convenience init(
    _ parameters: [Parameter], learningRate: Double = 0.001, betas: Betas = Betas(0.9, 0.999),
    epsilon: Double = 1e-8, weightDecay: Double = 0, amsgrad: Bool = false, maximize: Bool = false
  ) throws {
    try self.init(
      Options(
        learningRate: learningRate, betas: betas, epsilon: epsilon, weightDecay: weightDecay,
        amsgrad: amsgrad, maximize: maximize), groups: [.init(parameters)])
  }

  /// An optimiser of several groups, each with options of its own that fall back to `defaults`.
  ///
  /// `Adam(.adamW(learningRate: 1e-3), groups: [.init(model.parameters)])` is PyTorch's AdamW.
  /// - Throws: `TrainingError.badArgument` for options that make no sense.
  public init(_ defaults: Options, groups: [ParameterGroup<Options>]) throws {
    self.groups = groups.map { $0.completed(from: defaults) }
    try checkGroups(groups.map(\.parameters), "Adam")
    for options in self.groups.map(\.options) {
      try checkNotNegative(
        [
          "the learning rate": options.learningRate, "epsilon": options.epsilon,
          "weight decay": options.weightDecay, "beta 1": options.betas.mean,
          "beta 2": options.betas.square,
        ], "Adam")
      guard options.betas.mean < 1, options.betas.square < 1 else {
        throw TrainingError.badArgument(operation: "Adam", problem: "a beta is not below 1")
      }
    }
  }

  /// PyTorch's AdamW: weight decay acts on the parameters themselves.
  ///
  /// - Throws: `TrainingError.badArgument` for options that make no sense.
  public static func adamW(
    _ parameters: [Parameter], learningRate: Double = 0.001, betas: Betas = Betas(0.9, 0.999),
    epsilon: Double = 1e-8, weightDecay: Double = 0.01, amsgrad: Bool = false
  ) throws -> Adam {
    try Adam(
      .adamW(
        learningRate: learningRate, betas: betas, epsilon: epsilon, weightDecay: weightDecay,
        amsgrad: amsgrad), groups: [.init(parameters)])
  }

  /// The rate of each group.
  public var learningRates: [Double] {
    get { groups.map(\.options.learningRate) }
    set { for (i, rate) in zip(groups.indices, newValue) { groups[i].options.learningRate = rate } }
  }

  /// The rate that each group began with, once a scheduler has been made.
  public var initialLearningRates: [Double?] {
    get { groups.map(\.initialLearningRate) }
    set { for (i, rate) in zip(groups.indices, newValue) { groups[i].initialLearningRate = rate } }
  }

  /// Forgets the gradients of all parameters.
  public func zeroGrad() {
    for parameter in groups.lazy.flatMap(\.parameters) { parameter.grad = nil }
  }

  /// Moves every parameter that has a gradient.
  public func step() throws {
    for group in groups {
      for parameter in group.parameters {
        guard let gradient = try parameter.grad?.contiguous() else { continue }
        let id = ObjectIdentifier(parameter)
        func zeros() throws -> Variable {
          try Variable.zeros(parameter.shape, parameter.scalarType)
        }
        var state = try states[id] ?? State(step: 0, mean: zeros(), square: zeros())
        if group.options.amsgrad, state.largestSquare == nil { state.largestSquare = try zeros() }
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
    let (mean, square) = (state.mean.pointer(T.self), state.square.pointer(T.self))
    let largest = options.amsgrad ? state.largestSquare?.pointer(T.self) : nil
    let sign: T = options.maximize ? -1 : 1
    let decay = T(options.decoupledWeightDecay ? 0 : options.weightDecay)
    let shrink = T(
      options.decoupledWeightDecay ? 1 - options.learningRate * options.weightDecay : 1)
    let (keepMean, keepSquare) = (T(options.betas.mean), T(options.betas.square))
    let (newMean, newSquare) = (T(1 - options.betas.mean), T(1 - options.betas.square))
    let size = T(options.learningRate / (1 - power(options.betas.mean, state.step)))
    let root = T((1 - power(options.betas.square, state.step)).squareRoot())
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
    keepAlive(parameter, gradient, state.mean, state.square, state.largestSquare)
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
