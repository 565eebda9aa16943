public import TrainingCore

/// transformers' `BertEmbeddings`.
final class BERTEmbeddings: Module {
  let wordEmbeddings: Embedding
  let positionEmbeddings: Embedding
  let tokenTypeEmbeddings: Embedding
  let layerNorm: LayerNorm

  override class var keyNames: [String: String] { ["layerNorm": "LayerNorm"] }

  init(_ sizes: BERT.Sizes, from random: RandomSource) throws {
    wordEmbeddings = try Embedding(sizes.vocabulary, sizes.width, from: random)
    positionEmbeddings = try Embedding(sizes.positions, sizes.width, from: random)
    tokenTypeEmbeddings = try Embedding(sizes.types, sizes.width, from: random)
    for table in [wordEmbeddings, positionEmbeddings, tokenTypeEmbeddings] {
      try table.weight.initializing(by: .normal(mean: 0, standardDeviation: 0.02), from: random)
    }
    layerNorm = try LayerNorm(sizes.width, epsilon: sizes.epsilon)
  }

  override func forward(_ input: Variable) throws -> Variable {
    let positions = try positionEmbeddings(Variable.arange(input.shape[1]))
    let type = try tokenTypeEmbeddings(Variable(indices: [0]))
    // Token 0 is padding and gets no gradient.
    let words = try input.embedding(wordEmbeddings.weight, paddingIndex: 0)
    return try layerNorm(words + type + positions)
  }
}

/// transformers' `BertSelfAttention`.
final class BERTSelfAttention: Module {
  let query: Linear
  let key: Linear
  let value: Linear
  private let heads: Int

  init(_ sizes: BERT.Sizes, from random: RandomSource) throws {
    guard sizes.heads > 0, sizes.width % sizes.heads == 0 else {
      throw TrainingError.badArgument(
        operation: "attention", problem: "\(sizes.heads) heads for a width of \(sizes.width)")
    }
    heads = sizes.heads
    query = try BERT.linear(sizes.width, sizes.width, from: random)
    key = try BERT.linear(sizes.width, sizes.width, from: random)
    value = try BERT.linear(sizes.width, sizes.width, from: random)
  }

  override func forward(_ input: Variable) throws -> Variable {
    try Variable.scaledDotProductAttention(
      query: query(input).split(heads: heads), key: key(input).split(heads: heads),
      value: value(input).split(heads: heads)
    ).joined()
  }
}

/// A linear layer, a residual connection and a layer norm: transformers' `BertOutput`.
final class BERTOutput: Module {
  let dense: Linear
  let layerNorm: LayerNorm

  override class var keyNames: [String: String] { ["layerNorm": "LayerNorm"] }

  init(_ inputs: Int, _ width: Int, epsilon: Double, from random: RandomSource) throws {
    dense = try BERT.linear(inputs, width, from: random)
    layerNorm = try LayerNorm(width, epsilon: epsilon)
  }

  func forward(_ input: Variable, beside residual: Variable) throws -> Variable {
    try layerNorm(dense(input) + residual)
  }
}

/// transformers' `BertLayer`, whose parts are `attention.self`, `attention.output`, `intermediate`,
/// `output`.
final class BERTLayer: Module {
  private let attention: BERTSelfAttention
  private let joined: BERTOutput
  private let intermediate: Linear
  private let output: BERTOutput
  private let activation: ModelActivation

  init(_ sizes: BERT.Sizes, from random: RandomSource) throws {
    attention = try BERTSelfAttention(sizes, from: random)
    joined = try BERTOutput(sizes.width, sizes.width, epsilon: sizes.epsilon, from: random)
    intermediate = try BERT.linear(sizes.width, sizes.hidden, from: random)
    output = try BERTOutput(sizes.hidden, sizes.width, epsilon: sizes.epsilon, from: random)
    activation = sizes.activation
  }

  override var members: [(key: String, member: Member)] {
    [
      (
        "attention",
        .module(ModuleDict([("self", .module(attention)), ("output", .module(joined))]))
      ), ("intermediate", .module(ModuleDict([("dense", .module(intermediate))]))),
      ("output", .module(output)),
    ]
  }

  override func forward(_ input: Variable) throws -> Variable {
    let value = try joined.forward(attention(input), beside: input)
    return try output.forward(activation(intermediate(value)), beside: value)
  }
}

/// transformers' `BertModel`: from tokens to hidden states, and a pooled one.
final class BERTTrunk: Module {
  let embeddings: BERTEmbeddings
  private let layers: [BERTLayer]
  private let pooler: Linear?

  init(_ sizes: BERT.Sizes, hasPooler: Bool, from random: RandomSource) throws {
    embeddings = try BERTEmbeddings(sizes, from: random)
    layers = try (0..<sizes.layers).map { _ in try BERTLayer(sizes, from: random) }
    pooler = try hasPooler ? BERT.linear(sizes.width, sizes.width, from: random) : nil
  }

  override var members: [(key: String, member: Member)] {
    var result: [(String, Member)] = [
      ("embeddings", .module(embeddings)),
      ("encoder", .module(ModuleDict([("layer", .module(ModuleList(layers)))]))),
    ]
    if let pooler { result.append(("pooler", .module(ModuleDict([("dense", .module(pooler))])))) }
    return result
  }

  override func forward(_ input: Variable) throws -> Variable {
    guard input.rank == 2 else {
      throw TrainingError.badShape(operation: "bert", problem: "tokens of shape \(input.shape)")
    }
    var value = try embeddings(input)
    for layer in layers { value = try layer(value) }
    return value
  }

  /// The hidden state of the first token, through the pooler if there is one.
  func pooled(_ value: Variable) throws -> Variable {
    let first = try value.selected(0, dimension: 1)
    return try pooler.map { try $0(first).tanh() } ?? first
  }
}

/// The head for masked tokens: transformers' `BertLMPredictionHead`.
final class BERTPredictions: Module {
  private let dense: Linear
  private let norm: LayerNorm
  private let decoder: Parameter
  private let bias: Parameter
  private let hasDecoder: Bool
  private let activation: ModelActivation

  /// - Parameter vectors: the matrix whose products with hidden states are the logits, of shape
  ///   [vocabulary, width].
  init(
    _ sizes: BERT.Sizes, vectors: Parameter, hasDecoder: Bool, from random: RandomSource
  ) throws {
    let width = sizes.width
    dense = try BERT.linear(width, width, from: random)
    norm = try LayerNorm(width, epsilon: sizes.epsilon)
    activation = sizes.activation
    decoder = vectors
    bias = try Parameter([vectors.shape[0]], .constant(0), from: random)
    self.hasDecoder = hasDecoder
  }

  override var members: [(key: String, member: Member)] {
    let transform = ModuleDict([("dense", .module(dense)), ("LayerNorm", .module(norm))])
    var result: [(String, Member)] = [
      ("bias", .parameter(bias)), ("transform", .module(transform)),
    ]
    if hasDecoder {
      let parts: [(String, Member)] = [("weight", .parameter(decoder)), ("bias", .parameter(bias))]
      result.append(("decoder", .module(ModuleDict(parts))))
    }
    return result
  }

  override func forward(_ input: Variable) throws -> Variable {
    try norm(activation(dense(input))).linear(decoder, bias)
  }
}

/// transformers' `BertModel`, `BertForSequenceClassification`, `BertForMaskedLM` and
/// `BertForPreTraining`, with their keys (Devlin et al., arXiv:1810.04805).
public final class BERT: Module {
  /// The head of the model.
  public enum Head: Sendable, Hashable {
    /// No head: the pooled hidden state of the first token is the output.
    case none
    /// Sequence classification into that many classes, under `classifier`.
    case classes(Int)
    /// Prediction of masked tokens, under `cls.predictions`, optionally with keys for the decoder,
    /// and with next-sentence prediction under `cls.seq_relationship`.
    case tokens(hasDecoder: Bool, isTied: Bool, hasRelation: Bool)
  }

  /// The hyperparameters.
  public struct Sizes: Sendable, Hashable {
    /// The number of tokens in the vocabulary.
    public var vocabulary: Int
    /// The largest number of tokens in a sequence.
    public var positions: Int
    /// The number of segment types.
    public var types: Int
    /// The width of hidden states.
    public var width: Int
    /// The number of layers.
    public var layers: Int
    /// The number of attention heads of each.
    public var heads: Int
    /// The width of the feed-forward network.
    public var hidden: Int
    /// The number that normalizations add to variances.
    public var epsilon: Double
    /// The activation in a layer.
    public var activation: ModelActivation

    /// Creates hyperparameters.
    public init(
      vocabulary: Int, positions: Int, types: Int = 2, width: Int, layers: Int, heads: Int,
      hidden: Int, epsilon: Double = 1e-12, activation: ModelActivation = .gelu
    ) {
      self.epsilon = epsilon
      self.activation = activation
      self.vocabulary = vocabulary
      self.positions = positions
      self.types = types
      self.width = width
      self.layers = layers
      self.heads = heads
      self.hidden = hidden
    }
  }

  private let trunk: BERTTrunk
  private let hasPrefix: Bool
  private let dropout: Dropout
  private let classifier: Linear?
  private let predictions: BERTPredictions?
  private let relation: Linear?

  /// Creates a model with new weights.
  ///
  /// - Parameters:
  ///   - sizes: the hyperparameters.
  ///   - head: the head.
  ///   - hasPrefix: whether the trunk's keys begin with `bert.`.
  ///   - hasPooler: whether the pooler is applied to the first token's hidden state.
  ///   - random: the source of the initial weights.
  /// - Throws: `TrainingError` for invalid sizes.
  public init(
    _ sizes: Sizes, head: Head, hasPrefix: Bool, hasPooler: Bool = true,
    from random: RandomSource = .shared
  ) throws {
    trunk = try BERTTrunk(sizes, hasPooler: hasPooler, from: random)
    self.hasPrefix = hasPrefix
    dropout = Dropout(0.1, from: random)
    var (classifier, predictions, relation): (Linear?, BERTPredictions?, Linear?)
    switch head {
    case .none: break
    case .classes(let count): classifier = try Self.linear(sizes.width, count, from: random)
    case .tokens(let hasDecoder, let isTied, let hasRelation):
      let vectors =
        isTied
        ? trunk.embeddings.wordEmbeddings.weight
        : try Parameter(
          [sizes.vocabulary, sizes.width], .normal(mean: 0, standardDeviation: 0.02), from: random)
      predictions = try BERTPredictions(
        sizes, vectors: vectors, hasDecoder: hasDecoder, from: random)
      relation = try hasRelation ? Self.linear(sizes.width, 2, from: random) : nil
    }
    (self.classifier, self.predictions, self.relation) = (classifier, predictions, relation)
  }

  /// The submodules with their keys.
  override public var members: [(key: String, member: Member)] {
    var result = hasPrefix ? [("bert", Member.module(trunk))] : trunk.members
    result.append(("dropout", .module(dropout)))
    if let classifier { result.append(("classifier", .module(classifier))) }
    if let predictions {
      var parts: [(String, Member)] = [("predictions", .module(predictions))]
      if let relation { parts.append(("seq_relationship", .module(relation))) }
      result.append(("cls", .module(ModuleDict(parts))))
    }
    return result
  }

  /// Computes the logits of each input.
  ///
  /// - Parameter input: token indices of shape [batch, tokens], of type int64.
  /// - Returns: logits of shape [batch, classes], or [batch, tokens, vocabulary] for masked tokens;
  ///   without a head the pooled hidden state [batch, width].
  /// - Throws: `TrainingError` if the shape or the element type of `input` does not fit.
  override public func forward(_ input: Variable) throws -> Variable {
    let value = try trunk(input)
    if let predictions { return try predictions(value) }
    let pooled = try trunk.pooled(value)
    return try classifier.map { try $0(dropout(pooled)) } ?? pooled
  }

  static func linear(_ inputs: Int, _ outputs: Int, from random: RandomSource) throws -> Linear {
    let result = try Linear(inputs, outputs, from: random)
    try result.weight.initializing(by: .normal(mean: 0, standardDeviation: 0.02), from: random)
    try result.bias?.initializing(by: .constant(0), from: random)
    return result
  }
}

/// BERT of any size, with the heads of ``BERT/Head``. Shapes do not determine the number of
/// attention heads: it is the width divided by 64, as in all models published with the paper,
/// unless given.
struct BERTFamily: ModelFamily {
  var name: String { "bert" }
  var anchor: String { "encoder.layer.0.attention.self.query.weight" }
  var optionalPrefix: String? { "bert." }
  var options: [(name: String, explanation: String)] {
    [
      ModelOptions.classes, ("heads", "the number of attention heads; width / 64 unless given"),
      ("epsilon", "what layer normalizations add to variances; 1e-12 unless given"),
    ]
  }

  func makePublishedModule(from random: RandomSource) throws -> Module? {
    try BERT(
      BERT.Sizes(
        vocabulary: 30522, positions: 512, width: 768, layers: 12, heads: 12, hidden: 3072),
      head: .none, hasPrefix: false, from: random)
  }

  func recognizes(_ shapes: StateShapes) -> Bool { true }

  func makeModel(
    fitting shapes: StateShapes, _ options: ModelOptions, from random: RandomSource
  ) throws -> ZooModel {
    let hasPrefix = shapes["bert.embeddings.word_embeddings.weight"] != nil
    let trunk = hasPrefix ? "bert." : ""
    let tokens = try shapes.sizes("\(trunk)embeddings.word_embeddings.weight", rank: 2, for: name)
    let positions = try shapes.sizes(
      "\(trunk)embeddings.position_embeddings.weight", rank: 2, for: name)
    let types = try shapes.sizes(
      "\(trunk)embeddings.token_type_embeddings.weight", rank: 2, for: name)
    let layer = "\(trunk)encoder.layer."
    let hidden = try shapes.sizes("\(layer)0.intermediate.dense.weight", rank: 2, for: name)[0]
    let width = tokens[1]
    var settings = Settings(options, for: name, types: ["bert"])
    settings.warn("position_embedding_type", unless: [.text("absolute")])
    settings.warn("is_decoder", unless: [.flag(false)])
    let sizes = BERT.Sizes(
      vocabulary: tokens[0], positions: positions[0], types: types[0], width: width,
      layers: shapes.count(behind: layer),
      heads: try settings.count("heads", ["num_attention_heads"], usual: max(width / 64, 1)),
      hidden: hidden,
      epsilon: try settings.number("epsilon", ["layer_norm_eps"], usual: 1e-12),
      activation: settings.activation(["hidden_act"], usual: .gelu))
    let (head, classes) = try head(shapes, options, sizes, trunk)
    let model = try BERT(
      sizes, head: head, hasPrefix: hasPrefix,
      hasPooler: shapes["\(trunk)pooler.dense.weight"] != nil, from: random)
    var result = ZooModel(
      name: name, module: model,
      input: .tokens(vocabulary: sizes.vocabulary, length: min(16, sizes.positions)),
      objective: .classes(classes),
      hyperparameters: [
        ("vocabulary", sizes.vocabulary), ("positions", sizes.positions), ("width", width),
        ("layers", sizes.layers), ("heads", sizes.heads), ("hidden", hidden), ("classes", classes),
      ], head: ["classifier", "cls"])
    settings.finish(&result)
    result.ignorable = ["embeddings.position_ids"]
    // The keys' biases do not change the outputs; their gradient is rounding error.
    result.withoutGradient = ["attention.self.key.bias"]
    if case .tokens = head {
      result.withoutGradient += ["pooler.dense.weight", "pooler.dense.bias"]
      result.withoutGradient += ["seq_relationship.weight", "seq_relationship.bias"]
    }
    result.attentionBiases = (0..<sizes.layers).map { number in
      let part = "\(layer)\(number).attention.self"
      return AttentionBiases(
        layer: part, query: ("\(part).query.bias", 0..<width), key: ("\(part).key.bias", 0..<width))
    }
    return result
  }

  private func head(
    _ shapes: StateShapes, _ options: ModelOptions, _ sizes: BERT.Sizes, _ trunk: String
  ) throws -> (BERT.Head, Int) {
    let classes = try options.count("classes", for: name)
    if let count = classes ?? shapes["classifier.weight"]?.first { return (.classes(count), count) }
    guard shapes["cls.predictions.bias"] != nil else { return (.none, sizes.width) }
    let decoder = "cls.predictions.decoder.weight"
    let words = "\(trunk)embeddings.word_embeddings.weight"
    return (
      .tokens(
        hasDecoder: shapes[decoder] != nil,
        isTied: shapes[decoder] == nil || shapes.areTied(decoder, words),
        hasRelation: shapes["cls.seq_relationship.weight"] != nil), sizes.vocabulary
    )
  }
}
