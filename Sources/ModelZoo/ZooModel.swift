public import TrainingCore

/// The kind of a model's input.
public enum ModelInput: Sendable, Hashable {
  /// Vectors of the given number of elements.
  case features(Int)
  /// Square images with the given number of channels, and `size` pixels high and wide.
  case images(channels: Int, size: Int)
  /// Tensors of the given shape, without the batch dimension.
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
  /// Cross entropy; the last dimension of the outputs has the logits of the given number of classes
  /// or tokens.
  case classes(Int)
  /// Mean squared error.
  case numbers
}

/// The location of the biases of queries and keys in an attention layer's parameters.
public struct AttentionBiases: Sendable {
  /// The layer's key.
  public let layer: String
  /// The parameter that contains the queries' biases, and their range in it.
  public let query: (key: String, range: Range<Int>)
  /// The parameter that contains the keys' biases, and their range in it.
  public let key: (key: String, range: Range<Int>)

  /// Creates a location in two parameters, or in two ranges of one.
  public init(
    layer: String, query: (key: String, range: Range<Int>), key: (key: String, range: Range<Int>)
  ) {
    self.layer = layer
    self.query = query
    self.key = key
  }
}

/// A model with the properties that are needed to run and check it.
public struct ZooModel {
  /// The name of the family.
  public let name: String
  /// The model; its forward pass takes the input and returns the outputs of the head.
  public let module: Module
  /// The kind of input.
  public var input: ModelInput
  /// The loss for training.
  public var objective: Objective
  /// Hyperparameters that were inferred from shapes or taken by default, in the order in which they
  /// are shown.
  public var hyperparameters: [(name: String, value: Int)]
  /// The names of hyperparameters with usual values, because neither shapes, options, nor the
  /// configuration determine them.
  public var guessed: [String] = []
  /// The names of hyperparameters from the configuration.
  public var configured: [String] = []
  /// Notes on how the model was built.
  public var notes: [String] = []
  /// The keys of the head's modules, which are replaced in fine-tuning.
  public var head: [String]
  /// Suffixes of keys that older state dicts have and the model does not need.
  public var ignorable: [String] = []
  /// Suffixes of the keys of parameters that get no gradient.
  public var withoutGradient: [String] = []
  /// The attention layers with known locations of the biases of queries and keys.
  public var attentionBiases: [AttentionBiases] = []
  /// Standard deviations of the model's own initializations, in addition to those known for each
  /// layer.
  public var initialStandardDeviations: [Double] = []

  /// Creates a model of a family.
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

  /// Computes the loss of outputs, averaged over the batch.
  ///
  /// - Parameters:
  ///   - outputs: the model's outputs.
  ///   - targets: class indices of the outputs' shape without the last dimension; for
  ///     ``Objective/numbers``, numbers of the outputs' shape.
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
