public import TrainingCore

/// A linear layer whose weight is stored transposed: transformers' `Conv1D`.
final class TransposedLinear: Module {
  let weight: Parameter
  let bias: Parameter

  init(_ inputs: Int, _ outputs: Int, standardDeviation: Double, from random: RandomSource) throws {
    weight = try Parameter(
      [inputs, outputs], .normal(mean: 0, standardDeviation: standardDeviation), from: random)
    bias = try Parameter([outputs], .constant(0), from: random)
  }

  override func forward(_ input: Variable) throws -> Variable {
    try input.linear(weight.transposed(), bias)
  }
}

/// Causal self-attention: transformers' `GPT2Attention`.
final class CausalSelfAttention: Module {
  let cAttn: TransposedLinear
  let cProj: TransposedLinear
  private let heads: Int

  init(_ width: Int, heads: Int, layers: Int, from random: RandomSource) throws {
    guard heads > 0, width % heads == 0 else {
      throw TrainingError.badArgument(
        operation: "attention", problem: "\(heads) heads for a width of \(width)")
    }
    self.heads = heads
    cAttn = try TransposedLinear(width, 3 * width, standardDeviation: 0.02, from: random)
    cProj = try TransposedLinear(
      width, width, standardDeviation: GPT2.residualStandardDeviation(layers), from: random)
  }

  override func forward(_ input: Variable) throws -> Variable {
    let parts = try cAttn(input).chunked(3, dimension: 2).map { try $0.split(heads: heads) }
    let joined = try Variable.scaledDotProductAttention(
      query: parts[0], key: parts[1], value: parts[2], isCausal: true)
    return try cProj(joined.joined())
  }
}

extension Variable {
  /// Reshapes [batch, tokens, heads × width] to [batch, heads, tokens, width].
  func split(heads: Int) throws -> Variable {
    try reshaped([shape[0], shape[1], heads, -1]).permuted([0, 2, 1, 3])
  }

  /// Reshapes [batch, heads, tokens, width] to [batch, tokens, heads × width].
  func joined() throws -> Variable {
    try permuted([0, 2, 1, 3]).reshaped([shape[0], shape[2], -1])
  }
}

/// The feed-forward network of a block: transformers' `GPT2MLP`.
final class GPT2FeedForward: Module {
  let cFc: TransposedLinear
  let cProj: TransposedLinear
  private let activation: ModelActivation

  init(
    _ width: Int, hidden: Int, layers: Int, _ activation: ModelActivation,
    from random: RandomSource
  ) throws {
    self.activation = activation
    cFc = try TransposedLinear(width, hidden, standardDeviation: 0.02, from: random)
    cProj = try TransposedLinear(
      hidden, width, standardDeviation: GPT2.residualStandardDeviation(layers), from: random)
  }

  override func forward(_ input: Variable) throws -> Variable {
    try cProj(activation(cFc(input)))
  }
}

/// transformers' `GPT2Block`.
final class GPT2Block: Module {
  let ln1: LayerNorm
  let attn: CausalSelfAttention
  let ln2: LayerNorm
  let mlp: GPT2FeedForward

  override class var keyNames: [String: String] { ["ln1": "ln_1", "ln2": "ln_2"] }

  init(_ sizes: GPT2.Sizes, from random: RandomSource) throws {
    ln1 = try LayerNorm(sizes.width, epsilon: sizes.epsilon)
    attn = try CausalSelfAttention(
      sizes.width, heads: sizes.heads, layers: sizes.layers, from: random)
    ln2 = try LayerNorm(sizes.width, epsilon: sizes.epsilon)
    mlp = try GPT2FeedForward(
      sizes.width, hidden: sizes.hidden, layers: sizes.layers, sizes.activation, from: random)
  }

  override func forward(_ input: Variable) throws -> Variable {
    let value = try input + attn(ln1(input))
    return try value + mlp(ln2(value))
  }
}

/// transformers' `GPT2Model`: from tokens to hidden states.
final class GPT2Trunk: Module {
  let wte: Embedding
  let wpe: Embedding
  let h: ModuleList
  let lnF: LayerNorm

  init(_ sizes: GPT2.Sizes, from random: RandomSource) throws {
    wte = try Embedding(sizes.vocabulary, sizes.width, from: random)
    wpe = try Embedding(sizes.positions, sizes.width, from: random)
    for table in [wte, wpe] {
      try table.weight.initializing(by: .normal(mean: 0, standardDeviation: 0.02), from: random)
    }
    h = ModuleList(try (0..<sizes.layers).map { _ in try GPT2Block(sizes, from: random) })
    lnF = try LayerNorm(sizes.width, epsilon: sizes.epsilon)
  }

  override func forward(_ input: Variable) throws -> Variable {
    guard input.rank == 2 else {
      throw TrainingError.badShape(operation: "gpt2", problem: "tokens of shape \(input.shape)")
    }
    var value = try wte(input) + wpe(Variable.arange(input.shape[1]))
    for block in h.modules { value = try block(value) }
    return try lnF(value)
  }
}

/// transformers' `GPT2LMHeadModel` and, without the prefix `transformer.`, its `GPT2Model`, with
/// their keys (Radford et al., 2019). Both compute logits, which are products with the token
/// embeddings.
public final class GPT2: CausalLanguageModel {
  /// The hyperparameters.
  public struct Sizes: Sendable, Hashable {
    /// The number of tokens in the vocabulary.
    public var vocabulary: Int
    /// The largest number of tokens in a sequence.
    public var positions: Int
    /// The width of hidden states.
    public var width: Int
    /// The number of blocks.
    public var layers: Int
    /// The number of attention heads of each.
    public var heads: Int
    /// The width of the feed-forward network.
    public var hidden: Int
    /// The number that normalizations add to variances.
    public var epsilon: Double
    /// The activation in a block.
    public var activation: ModelActivation

    /// Creates hyperparameters.
    public init(
      vocabulary: Int, positions: Int, width: Int, layers: Int, heads: Int, hidden: Int,
      epsilon: Double = 1e-5, activation: ModelActivation = .geluTanh
    ) {
      self.epsilon = epsilon
      self.activation = activation
      self.vocabulary = vocabulary
      self.positions = positions
      self.width = width
      self.layers = layers
      self.heads = heads
      self.hidden = hidden
    }
  }

  /// Creates a model with new weights.
  ///
  /// - Parameters:
  ///   - sizes: the hyperparameters.
  ///   - hasPrefix: whether the trunk's keys begin with `transformer.`.
  ///   - hasHead: whether there is a key `lm_head.weight`.
  ///   - isTied: whether that is the token embeddings.
  ///   - random: the source of the initial weights.
  /// - Throws: `TrainingError` for invalid sizes.
  public init(
    _ sizes: Sizes, hasPrefix: Bool = true, hasHead: Bool = true, isTied: Bool = true,
    from random: RandomSource = .shared
  ) throws {
    let trunk = try GPT2Trunk(sizes, from: random)
    try super.init(
      trunk, under: hasPrefix ? "transformer" : nil, embeddings: trunk.wte.weight,
      hasHead: hasHead, isTied: isTied, from: random)
  }

  /// The initial standard deviation of the projections that are added to the residual stream.
  static func residualStandardDeviation(_ layers: Int) -> Double {
    0.02 / (2 * Double(max(layers, 1))).squareRoot()
  }
}

/// GPT-2 of any size. Shapes do not determine the number of heads: it is the width divided by 64,
/// as in all four published models, unless given.
struct GPT2Family: ModelFamily {
  var name: String { "gpt2" }
  var anchor: String { "h.0.attn.c_attn.weight" }
  var optionalPrefix: String? { "transformer." }
  var options: [(name: String, explanation: String)] {
    [
      ("heads", "the number of attention heads; width / 64 unless given"),
      ("epsilon", "what layer normalizations add to variances; 1e-5 unless given"),
    ]
  }

  func makePublishedModule(from random: RandomSource) throws -> Module? {
    try GPT2(
      GPT2.Sizes(
        vocabulary: 50257, positions: 1024, width: 768, layers: 12, heads: 12, hidden: 3072),
      from: random)
  }

  func recognizes(_ shapes: StateShapes) -> Bool { true }

  func makeModel(
    fitting shapes: StateShapes, _ options: ModelOptions, from random: RandomSource
  ) throws -> ZooModel {
    let hasPrefix = shapes["transformer.wte.weight"] != nil
    let trunk = hasPrefix ? "transformer." : ""
    let tokens = try shapes.sizes("\(trunk)wte.weight", rank: 2, for: name)
    let positions = try shapes.sizes("\(trunk)wpe.weight", rank: 2, for: name)
    let hidden = try shapes.sizes("\(trunk)h.0.mlp.c_fc.weight", rank: 2, for: name)[1]
    let width = tokens[1]
    var settings = Settings(options, for: name, types: ["gpt2"])
    settings.warn("scale_attn_weights", unless: [.flag(true)])
    settings.warn("scale_attn_by_inverse_layer_idx", unless: [.flag(false)])
    let sizes = GPT2.Sizes(
      vocabulary: tokens[0], positions: positions[0], width: width,
      layers: shapes.count(behind: "\(trunk)h."),
      heads: try settings.count(
        "heads", ["n_head", "num_attention_heads"], usual: max(width / 64, 1)),
      hidden: hidden,
      epsilon: try settings.number("epsilon", ["layer_norm_epsilon"], usual: 1e-5),
      activation: settings.activation(["activation_function"], usual: .geluTanh))
    let hasHead = shapes["lm_head.weight"] != nil
    let model = try GPT2(
      sizes, hasPrefix: hasPrefix, hasHead: hasHead,
      isTied: shapes.areTied("lm_head.weight", "\(trunk)wte.weight"), from: random)
    var result = ZooModel(
      name: name, module: model,
      input: .tokens(vocabulary: sizes.vocabulary, length: min(16, sizes.positions)),
      objective: .classes(sizes.vocabulary),
      hyperparameters: [
        ("vocabulary", sizes.vocabulary), ("positions", sizes.positions), ("width", width),
        ("layers", sizes.layers), ("heads", sizes.heads), ("hidden", hidden),
      ], head: ["lm_head"])
    settings.finish(&result)
    // Masks that older versions saved as buffers.
    result.ignorable = [".attn.bias", ".attn.masked_bias"]
    result.initialStandardDeviations = [GPT2.residualStandardDeviation(sizes.layers)]
    result.attentionBiases = (0..<sizes.layers).map { number in
      let key = "\(trunk)h.\(number).attn.c_attn.bias"
      return AttentionBiases(
        layer: "\(trunk)h.\(number).attn", query: (key, 0..<width), key: (key, width..<2 * width))
    }
    return result
  }
}
