internal import CTrainingKernels

/// Gradient descent with momentum, as `torch.optim.SGD` does it.
public final class SGD: Optimizer {
  /// How parameters are moved.
  public struct Options: Sendable, Hashable, DefaultConstructible {
    /// How far along the direction.
    public var learningRate: Double
    /// How much of the last direction is kept.
    public var momentum: Double
    /// How much of the gradient is left out of the direction.
    public var dampening: Double
    /// How much of the parameter is added to the gradient.
    public var weightDecay: Double
    /// Whether the direction is looked at from where momentum leads (Nesterov).
    public var nesterov: Bool
    /// Whether the loss is to grow rather than to fall.
    public var maximize: Bool

    /// PyTorch's defaults unless told.
    public init(
      learningRate: Double = 0.001, momentum: Double = 0, dampening: Double = 0,
      weightDecay: Double = 0, nesterov: Bool = false, maximize: Bool = false
    ) {
      self.learningRate = learningRate
      self.momentum = momentum
      self.dampening = dampening
      self.weightDecay = weightDecay
      self.nesterov = nesterov
      self.maximize = maximize
    }

    /// PyTorch's defaults.
    public init() { self.init(learningRate: 0.001) }
  }

  /// The param groups; their options may be changed between steps.
  public var groups: [ParameterGroup<Options>]
  /// The last direction of each parameter that has been moved with momentum.
  var momenta: [ObjectIdentifier: Variable] = [:]

  /// An optimiser of one group.
  ///
  /// - Throws: `TrainingError.badArgument` for options that make no sense.
  public convenience init(
    _ parameters: [Parameter], learningRate: Double = 0.001, momentum: Double = 0,
    dampening: Double = 0, weightDecay: Double = 0, nesterov: Bool = false, maximize: Bool = false
  ) throws {
    try self.init(
      Options(
        learningRate: learningRate, momentum: momentum, dampening: dampening,
        weightDecay: weightDecay, nesterov: nesterov, maximize: maximize),
      groups: [.init(parameters)])
  }

  /// An optimiser of several groups, each with options of its own that fall back to `defaults`.
  ///
  /// - Throws: `TrainingError.badArgument` for options that make no sense.
  public init(_ defaults: Options, groups: [ParameterGroup<Options>]) throws {
    self.groups = groups.map { $0.completed(from: defaults) }
    try checkGroups(groups.map(\.parameters), "SGD")
    for options in self.groups.map(\.options) {
      try checkNotNegative(
        [
          "the learning rate": options.learningRate, "momentum": options.momentum,
          "weight decay": options.weightDecay,
        ], "SGD")
      if options.nesterov, options.momentum <= 0 || options.dampening != 0 {
        throw TrainingError.badArgument(
          operation: "SGD", problem: "nesterov needs momentum and no dampening")
      }
    }
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
        var isFirst = false
        if group.options.momentum != 0, momenta[id] == nil {
          momenta[id] = try Variable.zeros(parameter.shape, parameter.scalarType)
          isFirst = true
        }
        let momentum = group.options.momentum != 0 ? momenta[id] : nil
        parameter.scalarType == .float64
          ? move(Double.self, parameter, gradient, momentum, isFirst, group.options)
          : move(Float.self, parameter, gradient, momentum, isFirst, group.options)
      }
    }
  }

  private func move<T: Scalar>(
    _: T.Type, _ parameter: Parameter, _ gradient: Variable, _ momentum: Variable?,
    _ isFirst: Bool, _ options: Options
  ) {
    let (p, g) = (parameter.pointer(T.self), gradient.pointer(T.self))
    let buffer = momentum?.pointer(T.self)
    let (rate, decay, keep) = (
      T(options.learningRate), T(options.weightDecay), T(options.momentum)
    )
    let sign: T = options.maximize ? -1 : 1
    let share = isFirst ? 1 : T(1 - options.dampening)
    ComputeThreads.split(parameter.count, grain: elementGrain) { range in
      let first = range.lowerBound
      if let p = asFloats(p), let g = asFloats(UnsafePointer(g)) {
        return ct_sgd(
          p + first, g + first, buffer.flatMap { asFloats($0) }.map { $0 + first },
          Int64(range.count), Float(rate), Float(sign), Float(decay), Float(keep), Float(share),
          options.nesterov ? 1 : 0)
      }
      guard let buffer else {
        for i in range { p[i] -= rate * (sign * g[i] + decay * p[i]) }
        return
      }
      for i in range {
        let direction = sign * g[i] + decay * p[i]
        let moved = keep * buffer[i] + share * direction
        buffer[i] = moved
        p[i] -= rate * (options.nesterov ? direction + keep * moved : moved)
      }
    }
    keepAlive(parameter, gradient, momentum)
  }
}
