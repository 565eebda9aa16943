internal import CCkptTrainingKernels

/// Stochastic gradient descent with momentum: PyTorch's `torch.optim.SGD`, whose documentation has
/// the formulas.
public final class SGD: Optimizer {
  /// The hyperparameters of a parameter group.
  public struct Options: OptimizerOptions, Sendable, Hashable {
    /// The learning rate, `lr` in PyTorch.
    public var learningRate: Double
    /// The factor by which the momentum buffer is kept from step to step; 0 for no momentum.
    public var momentum: Double
    /// The part of the gradient that does not enter the momentum buffer.
    public var dampening: Double
    /// The factor of the L2 penalty: `weightDecay` times the parameter is added to its gradient.
    public var weightDecay: Double
    /// Whether Nesterov's momentum is used.
    public var nesterov: Bool
    /// Whether the objective is maximized instead of minimized.
    public var maximize: Bool

    /// Hyperparameters; PyTorch's defaults where nothing is given.
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

    /// PyTorch's default hyperparameters.
    public init() { self.init(learningRate: 0.001) }
  }

  /// The parameter groups; their options may be changed between steps.
  public var groups: [ParameterGroup<Options>]
  /// The momentum buffer of each parameter that has been updated with momentum.
  var momentumBuffers: [ObjectIdentifier: Variable] = [:]

  /// An optimizer of one parameter group.
  ///
  /// - Throws: `TrainingError.badArgument` for hyperparameters that PyTorch rejects, and if there
  ///   are no parameters.
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

  /// An optimizer of several parameter groups.
  ///
  /// - Parameters:
  ///   - defaults: the hyperparameters of groups that do not change them.
  ///   - groups: the parameters, each group with its changes to `defaults`.
  /// - Throws: `TrainingError.badArgument` for hyperparameters that PyTorch rejects, if there are
  ///   no parameters, and if one is in two groups.
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

  /// Updates every parameter that has a gradient, in place.
  ///
  /// - Throws: `TrainingError.outOfMemory` where memory for a momentum buffer cannot be had.
  public func step() throws {
    for group in groups {
      for parameter in group.parameters {
        guard let gradient = try parameter.grad?.contiguous() else { continue }
        let id = ObjectIdentifier(parameter)
        var isFirst = false
        if group.options.momentum != 0, momentumBuffers[id] == nil {
          momentumBuffers[id] = try Variable.zeros(parameter.shape, parameter.scalarType)
          isFirst = true
        }
        let momentum = group.options.momentum != 0 ? momentumBuffers[id] : nil
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
