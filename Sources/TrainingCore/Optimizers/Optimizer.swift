/// An algorithm that changes parameters by their gradients: PyTorch's `torch.optim.Optimizer`.
public protocol Optimizer: AnyObject, Stateful {
  /// The hyperparameters of a parameter group.
  associatedtype Options: OptimizerOptions
  /// The parameter groups (PyTorch's `param_groups`); their options may be changed between steps.
  var groups: [ParameterGroup<Options>] { get set }
  /// Updates every parameter that has a gradient, in place.
  ///
  /// - Throws: `TrainingError.outOfMemory` if there is no memory for the optimizer's state.
  func step() throws
}

/// The hyperparameters that an optimizer has for each parameter group.
public protocol OptimizerOptions {
  /// The learning rate, `lr` in PyTorch.
  var learningRate: Double { get set }
  /// PyTorch's default hyperparameters.
  init()
}

/// Parameters that are updated with the same hyperparameters.
public struct ParameterGroup<Options: OptimizerOptions> {
  /// The parameters, in the order in which PyTorch numbers them.
  public var parameters: [Parameter]
  /// The hyperparameters.
  public var options: Options
  /// The learning rate before any scheduler changed it (PyTorch's `initial_lr`); nil until a
  /// scheduler is made.
  public var initialLearningRate: Double?
  /// What ``OneCycleLR`` moves the options between; nil until such a scheduler is made.
  var cycleBounds: CycleBounds?

  let change: (inout Options) -> Void

  /// A group with the optimizer's default options, except for what `change` changes.
  ///
  /// ```swift
  /// let optimizer = try SGD(
  ///   .init(learningRate: 0.01, weightDecay: 0.001),
  ///   groups: [.init(backbone), .init(head) { $0.learningRate *= 10 }])
  /// ```
  /// - Parameters:
  ///   - parameters: the parameters; none may be in two groups of an optimizer.
  ///   - change: is given the optimizer's default options and changes them for this group.
  public init(
    _ parameters: [Parameter], _ change: @escaping (inout Options) -> Void = { _ in }
  ) {
    self.parameters = parameters
    self.change = change
    options = Options()
  }

  /// The group with its missing options replaced by an optimizer's defaults.
  func completed(from defaults: Options) -> ParameterGroup {
    var group = self
    group.options = defaults
    change(&group.options)
    return group
  }
}

extension Optimizer {
  /// The learning rate of each parameter group. Learning rate schedulers set it.
  public var learningRates: [Double] {
    get { groups.map(\.options.learningRate) }
    set { for (i, rate) in zip(groups.indices, newValue) { groups[i].options.learningRate = rate } }
  }

  /// The learning rate of each parameter group before any scheduler changed it; nil until a
  /// scheduler is made.
  public var initialLearningRates: [Double?] {
    get { groups.map(\.initialLearningRate) }
    set { for (i, rate) in zip(groups.indices, newValue) { groups[i].initialLearningRate = rate } }
  }

  /// Sets the gradients of all parameters to nil.
  public func zeroGrad() {
    for parameter in groups.lazy.flatMap(\.parameters) { parameter.grad = nil }
  }
}

/// Throws unless there are parameters and none of them occurs twice.
func checkGroups(_ groups: [[Parameter]], _ operation: String) throws {
  var seen = Set<ObjectIdentifier>()
  for parameter in groups.joined() where !seen.insert(ObjectIdentifier(parameter)).inserted {
    throw TrainingError.badArgument(
      operation: operation, problem: "a parameter of shape \(parameter.shape) is in two groups")
  }
  if seen.isEmpty {
    throw TrainingError.badArgument(operation: operation, problem: "there are no parameters")
  }
}

/// Throws unless all numbers are finite and not negative.
func checkNotNegative(_ numbers: KeyValuePairs<String, Double>, _ operation: String) throws {
  for (name, number) in numbers where !(number >= 0 && number.isFinite) {
    throw TrainingError.badArgument(operation: operation, problem: "\(name) is \(number)")
  }
}
