/// What moves parameters against their gradients.
public protocol Optimizer: AnyObject {
  /// The rate of each param group; a scheduler sets it.
  var learningRates: [Double] { get set }
  /// The rate that each param group began with, once a scheduler has been made.
  var initialLearningRates: [Double?] { get set }
  /// Moves every parameter that has a gradient.
  func step() throws
  /// Forgets the gradients of all parameters.
  func zeroGrad()
}

/// Parameters that are moved with the same options.
public struct ParameterGroup<Options> {
  /// The parameters.
  public var parameters: [Parameter]
  /// How they are moved.
  public var options: Options
  /// The rate that the group began with, once a scheduler has been made.
  public var initialLearningRate: Double?

  let change: (inout Options) -> Void

  /// Parameters that are moved with an optimiser's own options, except for what `change` changes.
  ///
  /// ```swift
  /// let optimizer = try SGD(
  ///   .init(learningRate: 0.01, weightDecay: 0.001),
  ///   groups: [.init(backbone), .init(head) { $0.learningRate *= 10 }])
  /// ```
  public init(
    _ parameters: [Parameter], _ change: @escaping (inout Options) -> Void = { _ in }
  ) where Options: DefaultConstructible {
    self.parameters = parameters
    self.change = change
    options = Options()
  }

  /// The options of a group, from an optimiser's own.
  func completed(from defaults: Options) -> ParameterGroup {
    var group = self
    group.options = defaults
    change(&group.options)
    return group
  }
}

/// Options that have PyTorch's defaults.
public protocol DefaultConstructible {
  /// PyTorch's defaults.
  init()
}

/// Throws unless every parameter is in one group only and there are some.
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

/// Throws unless a number is finite and not negative.
func checkNotNegative(_ numbers: KeyValuePairs<String, Double>, _ operation: String) throws {
  for (name, number) in numbers where !(number >= 0 && number.isFinite) {
    throw TrainingError.badArgument(operation: operation, problem: "\(name) is \(number)")
  }
}
