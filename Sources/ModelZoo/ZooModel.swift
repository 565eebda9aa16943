public import TrainingCore

/// What a model takes as input.
public enum ModelInput: Sendable, Hashable {
  /// Vectors of that many numbers.
  case features(Int)
  /// Square images with that many channels, `size` pixels high and wide.
  case images(channels: Int, size: Int)
  /// Numbers of that shape, without the dimension of the batch.
  case numbers([Int])
  /// Sequences of `length` token indices below `vocabulary`.
  case tokens(vocabulary: Int, length: Int)
}

extension ModelInput {
  /// The number of elements of one input.
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
  /// The product, or the largest integer if it overflows.
  fileprivate func saturated(times other: Int) -> Int {
    let (product, overflow) = multipliedReportingOverflow(by: other)
    return overflow ? .max : product
  }
}

/// The loss with which a model is trained.
public enum Objective: Sendable, Hashable {
  /// Cross entropy: the last dimension of the outputs has logits of that many classes or tokens.
  case classes(Int)
  /// Mean squared error.
  case numbers
}

/// The location of the biases of queries and keys in an attention layer's parameters.
public struct AttentionBiases: Sendable {
  /// The layer's key.
  public let layer: String
  /// The parameter with the queries' biases, and which of its elements they are.
  public let query: (key: String, range: Range<Int>)
  /// The parameter with the keys' biases, and which of its elements they are.
  public let key: (key: String, range: Range<Int>)

  /// Biases in two parameters, or in two ranges of one.
  public init(
    layer: String, query: (key: String, range: Range<Int>), key: (key: String, range: Range<Int>)
  ) {
    self.layer = layer
    self.query = query
    self.key = key
  }
}

/// A model with what is needed to run and check it.
public struct ZooModel {
  /// The name of its family.
  public let name: String
  /// The model; its forward pass takes the input and returns the outputs of the head.
  public let module: Module
  /// What it takes as input.
  public var input: ModelInput
  /// The loss with which it is trained.
  public var objective: Objective
  /// Hyperparameters that were inferred from shapes or taken by default, in the order in which they are shown.
  public var hyperparameters: [(name: String, value: Int)]
  /// The names of what neither shapes nor anybody told, and was taken as is usual.
  public var guessed: [String] = []
  /// The names of what the configuration told.
  public var configured: [String] = []
  /// What is to be said of how the model was built.
  public var notes: [String] = []
  /// The keys of the modules of the head, which is new in fine-tuning.
  public var head: [String]
  /// Ends of keys that older state dicts have and the model does not need.
  public var ignorable: [String] = []
  /// Ends of the keys of parameters that get no gradient.
  public var withoutGradient: [String] = []
  /// The attention layers whose biases of queries and keys can be told apart.
  public var attentionBiases: [AttentionBiases] = []
  /// Standard deviations of the model's own initializations, beyond those known for each layer.
  public var initialStandardDeviations: [Double] = []

  /// A model of a family.
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

  /// Whether a key belongs to one of the modules of the head.
  public func isHead(_ key: String) -> Bool {
    head.contains { key == $0 || key.hasPrefix($0 + ".") }
  }

  /// The loss of outputs, averaged over the batch.
  ///
  /// - Parameters:
  ///   - outputs: the model's outputs.
  ///   - targets: class indices of the outputs' shape without the last dimension; for ``Objective/numbers`` numbers of
  ///     the outputs' shape.
  /// - Throws: `TrainingError` if shapes or element types do not fit.
  public func loss(_ outputs: Variable, _ targets: Variable) throws -> Variable {
    switch objective {
    case .classes(let count):
      try outputs.reshaped([-1, count]).crossEntropy(targets.reshaped([-1]))
    case .numbers: try outputs.mseLoss(targets)
    }
  }

  /// A batch of `count` random inputs.
  ///
  /// - Throws: `TrainingError.outOfMemory`.
  package func randomInput(count: Int, from random: RandomSource) throws -> Variable {
    switch input {
    case .features(let width): try .normal([count, width], from: random)
    case .images(let channels, let size): try .normal([count, channels, size, size], from: random)
    case .numbers(let sizes): try .normal([count] + sizes, from: random)
    case .tokens(let vocabulary, let length):
      try Self.randomNumbers(below: vocabulary, shape: [count, length], from: random)
    }
  }

  /// Random targets for outputs of a shape.
  ///
  /// - Throws: `TrainingError.outOfMemory`.
  package func randomTargets(for shape: [Int], from random: RandomSource) throws -> Variable {
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
