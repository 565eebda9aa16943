public import TrainingCore

/// A kind of model: how its state dicts are told, and how a model is built that fits one.
///
/// A tool adds its own by conforming to this and giving it to ``ModelZoo/init(families:)``.
public protocol ModelFamily: Sendable {
  /// By what it is asked for, such as `resnet18`.
  var name: String { get }
  /// A key that all its state dicts have. What stands before it in a file is a prefix that the model
  /// lacks.
  var anchor: String { get }
  /// Parts of the model that some state dicts have and others lack before the anchor, such as `bert.`.
  var optionalPrefix: String? { get }
  /// What may be told about it beyond what the tensors' shapes say: names and explanations.
  var options: [(name: String, explanation: String)] { get }

  /// The model in the sizes in which it was published, for state dicts that tell no sizes; nil where
  /// there is no such size.
  func makePublishedModule(from random: RandomSource) throws -> Module?

  /// Whether shapes whose keys have the anchor are this model's, rather than those of a similar one.
  func recognises(_ shapes: StateShapes) -> Bool

  /// Builds the model whose hyper-parameters the shapes tell; its weights are new.
  ///
  /// - Throws: `ZooError` where they cannot be inferred.
  func makeModel(fitting shapes: StateShapes, _ options: ModelOptions, from random: RandomSource)
    throws -> ZooModel
}

extension ModelFamily {
  /// No part is optional, unless the family says so.
  public var optionalPrefix: String? { nil }
  /// Classes alone, unless the family says more.
  public var options: [(name: String, explanation: String)] { [ModelOptions.classes] }
  /// No size is the published one, unless the family says so.
  public func makePublishedModule(from random: RandomSource) throws -> Module? { nil }
}

/// What a model is to be fed.
public enum ModelInput: Sendable, Hashable {
  /// Vectors of so many numbers.
  case features(Int)
  /// Square images of so many channels, so many pixels wide.
  case images(channels: Int, size: Int)
  /// Numbers of any shape; the batch's dimension is not among the sizes.
  case numbers([Int])
  /// Token numbers below the vocabulary's size, so many in a row.
  case tokens(vocabulary: Int, length: Int)
}

extension ModelInput {
  /// How many numbers or tokens one input has.
  var elementCount: Int {
    switch self {
    case .features(let width): width
    case .images(let channels, let size): channels.saturated(times: size).saturated(times: size)
    case .numbers(let sizes): sizes.reduce(1) { $0.saturated(times: $1) }
    case .tokens(_, let length): length
    }
  }
}

extension Int {
  /// The product, or the largest integer.
  fileprivate func saturated(times other: Int) -> Int {
    let (product, overflow) = multipliedReportingOverflow(by: other)
    return overflow ? .max : product
  }
}

/// What a model's outputs are to become.
public enum Objective: Sendable, Hashable {
  /// Logits of so many classes, or tokens, in the last dimension; the loss is cross entropy.
  case classes(Int)
  /// Numbers; the loss is the mean squared error.
  case numbers
}

/// Where a layer's biases of the queries and of the keys are.
public struct AttentionBiases: Sendable {
  /// The layer, as people know it.
  public let layer: String
  /// The parameter and the elements of it that belong to the queries.
  public let query: (key: String, range: Range<Int>)
  /// The parameter and the elements of it that belong to the keys.
  public let key: (key: String, range: Range<Int>)

  /// Biases in two parameters, or in two parts of one.
  public init(
    layer: String, query: (key: String, range: Range<Int>), key: (key: String, range: Range<Int>)
  ) {
    self.layer = layer
    self.query = query
    self.key = key
  }
}

/// A model, and what must be known to run it.
public struct ZooModel {
  /// By what it is asked for.
  public let name: String
  /// The model itself; takes the input and gives the outputs of its head.
  public let module: Module
  /// What it takes.
  public var input: ModelInput
  /// What it gives.
  public var objective: Objective
  /// What was inferred from the tensors' shapes, or taken by default, in the order to be shown in.
  public var hyperparameters: [(name: String, value: Int)]
  /// The modules that make up the head, which is new in every fine-tuning.
  public var head: [String]
  /// Ends of keys that old state dicts have and the model does not need.
  public var ignorable: [String] = []
  /// Ends of keys of parameters that no gradient reaches.
  public var withoutGradient: [String] = []
  /// The attention layers whose queries' and keys' biases can be told apart.
  public var attentionBiases: [AttentionBiases] = []
  /// Deviations that the model's authors begin with, beyond those known for each layer.
  public var initialDeviations: [Double] = []

  /// A model under a name.
  public init(
    name: String, module: Module, input: ModelInput, objective: Objective,
    hyperparameters: [(name: String, value: Int)], head: [String]
  ) {
    self.name = name
    self.module = module
    self.input = input
    self.objective = objective
    self.hyperparameters = hyperparameters
    self.head = head
  }

  /// Whether a key belongs to the head.
  public func isHead(_ key: String) -> Bool {
    head.contains { key == $0 || key.hasPrefix($0 + ".") }
  }

  /// The mean loss of outputs.
  ///
  /// - Parameter targets: class numbers, of the outputs' shape without the last dimension; numbers of
  ///   the outputs' shape for ``Objective/numbers``.
  public func loss(_ outputs: Variable, _ targets: Variable) throws -> Variable {
    switch objective {
    case .classes(let count):
      try outputs.reshaped([-1, count]).crossEntropy(targets.reshaped([-1]))
    case .numbers: try outputs.mseLoss(targets)
    }
  }

  /// Inputs of random numbers or tokens.
  public func randomInput(count: Int, from random: RandomSource) throws -> Variable {
    switch input {
    case .features(let width): try .normal([count, width], from: random)
    case .images(let channels, let size): try .normal([count, channels, size, size], from: random)
    case .numbers(let sizes): try .normal([count] + sizes, from: random)
    case .tokens(let vocabulary, let length):
      try Self.randomNumbers(below: vocabulary, shape: [count, length], from: random)
    }
  }

  /// Random targets for outputs of a shape.
  public func randomTargets(for shape: [Int], from random: RandomSource) throws -> Variable {
    switch objective {
    case .classes(let count):
      try Self.randomNumbers(below: count, shape: shape.dropLast(), from: random)
    case .numbers: try .normal(shape, from: random)
    }
  }

  private static func randomNumbers(below limit: Int, shape: [Int], from random: RandomSource)
    throws -> Variable
  {
    let limit = UInt64(max(limit, 1))
    let numbers = (0..<shape.reduce(1, *)).map { _ in Int(random.next() % limit) }
    return try Variable(indices: numbers, shape: shape)
  }
}
