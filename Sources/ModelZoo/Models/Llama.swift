internal import Foundation
public import TrainingCore

/// Causal self-attention with rotary position embeddings, in which several query heads may share a
/// key head: transformers' `LlamaAttention`.
final class RotaryAttention: Module {
  let qProj: Linear
  let kProj: Linear
  let vProj: Linear
  let oProj: Linear
  private let sizes: Llama.Sizes

  init(_ sizes: Llama.Sizes, from random: RandomSource) throws {
    self.sizes = sizes
    let (queries, keys) = (sizes.heads * sizes.headWidth, sizes.keyHeads * sizes.headWidth)
    qProj = try Llama.linear(sizes.width, queries, bias: sizes.hasBias, from: random)
    kProj = try Llama.linear(sizes.width, keys, bias: sizes.hasBias, from: random)
    vProj = try Llama.linear(sizes.width, keys, bias: sizes.hasBias, from: random)
    oProj = try Llama.linear(queries, sizes.width, bias: false, from: random)
  }

  func forward(_ input: Variable, cosine: Variable, sine: Variable) throws -> Variable {
    func rotated(_ value: Variable) throws -> Variable {
      let half = sizes.headWidth / 2
      let (first, second) = (
        try value.sliced(0..<half, dimension: 3),
        try value.sliced(half..<2 * half, dimension: 3)
      )
      let turned = try Variable.cat([second * -1, first], dimension: 3)
      return try value * cosine + turned * sine
    }
    func shared(_ value: Variable) throws -> Variable {
      let times = sizes.heads / sizes.keyHeads
      if times == 1 { return value }
      let (batch, tokens) = (value.shape[0], value.shape[2])
      return try value.unsqueezed(2)
        .expanded(to: [batch, sizes.keyHeads, times, tokens, sizes.headWidth])
        .reshaped([batch, sizes.heads, tokens, sizes.headWidth])
    }
    let joined = try Variable.scaledDotProductAttention(
      query: rotated(qProj(input).split(heads: sizes.heads)),
      key: shared(rotated(kProj(input).split(heads: sizes.keyHeads))),
      value: shared(vProj(input).split(heads: sizes.keyHeads)), isCausal: true)
    return try oProj(joined.joined())
  }
}

/// A gated feed-forward network, SwiGLU: transformers' `LlamaMLP` (Shazeer, arXiv:2002.05202).
final class GatedFeedForward: Module {
  let gateProj: Linear
  let upProj: Linear
  let downProj: Linear

  init(_ sizes: Llama.Sizes, from random: RandomSource) throws {
    gateProj = try Llama.linear(sizes.width, sizes.hidden, bias: false, from: random)
    upProj = try Llama.linear(sizes.width, sizes.hidden, bias: false, from: random)
    downProj = try Llama.linear(sizes.hidden, sizes.width, bias: false, from: random)
  }

  override func forward(_ input: Variable) throws -> Variable {
    try downProj(gateProj(input).silu() * upProj(input))
  }
}

/// transformers' `LlamaDecoderLayer`.
final class LlamaLayer: Module {
  let selfAttn: RotaryAttention
  let mlp: GatedFeedForward
  let inputLayernorm: RMSNorm
  let postAttentionLayernorm: RMSNorm

  init(_ sizes: Llama.Sizes, from random: RandomSource) throws {
    selfAttn = try RotaryAttention(sizes, from: random)
    mlp = try GatedFeedForward(sizes, from: random)
    inputLayernorm = try RMSNorm([sizes.width], epsilon: sizes.epsilon)
    postAttentionLayernorm = try RMSNorm([sizes.width], epsilon: sizes.epsilon)
  }

  func forward(_ input: Variable, cosine: Variable, sine: Variable) throws -> Variable {
    let value =
      try input + selfAttn.forward(inputLayernorm(input), cosine: cosine, sine: sine)
    return try value + mlp(postAttentionLayernorm(value))
  }
}

/// transformers' `LlamaModel`: from tokens to hidden states.
final class LlamaTrunk: Module {
  let embedTokens: Embedding
  let layers: [Module]
  let norm: RMSNorm
  private let blocks: [LlamaLayer]
  private let sizes: Llama.Sizes

  init(_ sizes: Llama.Sizes, from random: RandomSource) throws {
    self.sizes = sizes
    embedTokens = try Embedding(sizes.vocabulary, sizes.width, from: random)
    try embedTokens.weight.initializing(by: .normal(mean: 0, standardDeviation: 0.02), from: random)
    blocks = try (0..<sizes.layers).map { _ in try LlamaLayer(sizes, from: random) }
    layers = blocks
    norm = try RMSNorm([sizes.width], epsilon: sizes.epsilon)
  }

  override var members: [(key: String, member: Member)] {
    [
      ("embed_tokens", .module(embedTokens)), ("layers", .module(ModuleList(layers))),
      ("norm", .module(norm)),
    ]
  }

  override func forward(_ input: Variable) throws -> Variable {
    guard input.rank == 2 else {
      throw TrainingError.badShape(operation: "llama", problem: "tokens of shape \(input.shape)")
    }
    var value = try embedTokens(input)
    let (cosine, sine) = try angles(input.shape[1], value.scalarType)
    for block in blocks { value = try block.forward(value, cosine: cosine, sine: sine) }
    return try norm(value)
  }

  /// The cosines and sines of rotary position embeddings, each of shape [tokens, head width]. The
  /// angle of pair i at a position is position / θ^(2i / head width), and each row contains the
  /// pairs' angles twice (Su et al., arXiv:2104.09864).
  private func angles(_ tokens: Int, _ type: ScalarType) throws -> (Variable, Variable) {
    let half = sizes.headWidth / 2
    var (cosines, sines): ([Double], [Double]) = ([], [])
    for position in 0..<tokens {
      let row = (0..<half).map { pair in
        let frequency = Float(1) / Float(pow(sizes.theta, 2 * Double(pair) / Double(2 * half)))
        // PyTorch computes angles in float32.
        return Double(Float(position) * frequency)
      }
      for angle in row + row {
        cosines.append(cos(angle))
        sines.append(sin(angle))
      }
    }
    let shape = [tokens, 2 * half]
    return (
      try Variable(doubles: cosines, shape: shape).converted(to: type),
      try Variable(doubles: sines, shape: shape).converted(to: type)
    )
  }
}

/// transformers' `LlamaForCausalLM` and, without the prefix `model.`, its `LlamaModel`, with their
/// keys (Touvron et al., arXiv:2302.13971). Both compute logits; those of the latter are products
/// with the token embeddings.
public final class Llama: CausalLanguageModel {
  /// The hyperparameters.
  public struct Sizes: Sendable, Hashable {
    /// The number of tokens in the vocabulary.
    public var vocabulary: Int
    /// The width of hidden states.
    public var width: Int
    /// The number of layers.
    public var layers: Int
    /// The number of query heads of each.
    public var heads: Int
    /// The number of key and value heads of each.
    public var keyHeads: Int
    /// The width of a head.
    public var headWidth: Int
    /// The width of the feed-forward network.
    public var hidden: Int
    /// Whether the projections to queries, keys and values have biases.
    public var hasBias: Bool
    /// The base θ of the rotary position embeddings' frequencies.
    public var theta: Double
    /// Added to the mean square in normalizations.
    public var epsilon: Double

    /// Creates hyperparameters.
    public init(
      vocabulary: Int, width: Int, layers: Int, heads: Int, keyHeads: Int, headWidth: Int,
      hidden: Int, hasBias: Bool = false, theta: Double = 10_000, epsilon: Double = 1e-6
    ) {
      self.vocabulary = vocabulary
      self.width = width
      self.layers = layers
      self.heads = heads
      self.keyHeads = keyHeads
      self.headWidth = headWidth
      self.hidden = hidden
      self.hasBias = hasBias
      self.theta = theta
      self.epsilon = epsilon
    }
  }

  /// Creates a model with new weights.
  ///
  /// - Parameters:
  ///   - sizes: the hyperparameters.
  ///   - hasPrefix: whether the trunk's keys begin with `model.`.
  ///   - hasHead: whether there is a key `lm_head.weight`.
  ///   - isTied: whether that is the token embeddings.
  ///   - random: the source of the initial weights.
  /// - Throws: `TrainingError` for invalid sizes.
  public init(
    _ sizes: Sizes, hasPrefix: Bool = true, hasHead: Bool = true, isTied: Bool = false,
    from random: RandomSource = .shared
  ) throws {
    let trunk = try LlamaTrunk(sizes, from: random)
    try super.init(
      trunk, under: hasPrefix ? "model" : nil, embeddings: trunk.embedTokens.weight,
      hasHead: hasHead, isTied: isTied, from: random)
  }

  static func linear(_ inputs: Int, _ outputs: Int, bias: Bool, from random: RandomSource) throws
    -> Linear
  {
    let result = try Linear(inputs, outputs, bias: bias, from: random)
    try result.weight.initializing(by: .normal(mean: 0, standardDeviation: 0.02), from: random)
    try result.bias?.initializing(by: .constant(0), from: random)
    return result
  }
}

/// Llamas of any size, with or without shared key heads. Shapes do not determine the width of a
/// head, unless an older file contains the rotary frequencies. Unless the number of heads is given,
/// it is 128 for widths from 3072 on, and 64 otherwise.
struct LlamaFamily: ModelFamily {
  var name: String { "llama" }
  var anchor: String { "layers.0.self_attn.q_proj.weight" }
  var optionalPrefix: String? { "model." }
  var options: [(name: String, explanation: String)] {
    [
      ("heads", "the number of query heads; of width 128, or 64 in small models, unless given"),
      ("rope_theta", "the base of the rotary frequencies; 10000 unless given"),
      ("epsilon", "added in normalizations; 1e-6 unless given"),
    ]
  }

  func recognizes(_ shapes: StateShapes) -> Bool { true }

  func makeModel(
    fitting shapes: StateShapes, _ options: ModelOptions, from random: RandomSource
  ) throws -> ZooModel {
    let hasPrefix = shapes["model.embed_tokens.weight"] != nil
    let trunk = hasPrefix ? "model." : ""
    let layer = "\(trunk)layers.0"
    let tokens = try shapes.sizes("\(trunk)embed_tokens.weight", rank: 2, for: name)
    var queries = try shapes.sizes("\(layer).self_attn.q_proj.weight", rank: 2, for: name)[0]
    var keys = try shapes.sizes("\(layer).self_attn.k_proj.weight", rank: 2, for: name)[0]
    let values = try shapes.sizes("\(layer).self_attn.v_proj.weight", rank: 2, for: name)[0]
    // Keys and values have the same width. If the queries have the width of the values instead,
    // queries and keys are swapped.
    if keys != values, queries == values { swap(&queries, &keys) }
    let hidden = try shapes.sizes("\(layer).mlp.gate_proj.weight", rank: 2, for: name)[0]
    var settings = Settings(options, for: name, types: ["llama", "mistral", "qwen2"])
    for field in ["rope_scaling.rope_type", "rope_scaling.type", "rope_parameters.rope_type"] {
      settings.warn(field, unless: [.text("default")])
    }
    settings.warn("hidden_act", unless: [.text("silu"), .text("swish")])
    var headWidth: Int
    if options.values["heads"] == nil,
      let frequencies = shapes["\(layer).self_attn.rotary_emb.inv_freq"]?.first
    {
      headWidth = 2 * min(max(frequencies, 0), 1 << 20)
    } else {
      headWidth = min(tokens[1] >= 3072 ? 128 : 64, keys)
      if headWidth > 0 {
        // The width of a head follows from the number of query heads or of key heads.
        headWidth =
          try queries
          / settings.count("heads", ["num_attention_heads"], usual: max(queries / headWidth, 1))
      }
    }
    guard headWidth > 0, headWidth % 2 == 0, queries % headWidth == 0, keys % headWidth == 0,
      keys > 0, (queries / headWidth) % (keys / headWidth) == 0
    else {
      throw ZooError.cannotInfer(
        model: name, key: "\(layer).self_attn.k_proj.weight",
        problem: "\(queries) and \(keys) outputs are no heads of width \(headWidth); give heads=N"
      )
    }
    let sizes = Llama.Sizes(
      vocabulary: tokens[0], width: tokens[1], layers: shapes.count(behind: "\(trunk)layers."),
      heads: queries / headWidth, keyHeads: keys / headWidth, headWidth: headWidth, hidden: hidden,
      hasBias: shapes["\(layer).self_attn.q_proj.bias"] != nil,
      theta: try settings.number(
        "rope_theta", ["rope_theta", "rope_parameters.rope_theta"], usual: 10_000),
      epsilon: try settings.number("epsilon", ["rms_norm_eps"], usual: 1e-6))
    let model = try Llama(
      sizes, hasPrefix: hasPrefix, hasHead: shapes["lm_head.weight"] != nil,
      isTied: shapes.areTied("lm_head.weight", "\(trunk)embed_tokens.weight"), from: random)
    var result = ZooModel(
      name: name, module: model, input: .tokens(vocabulary: sizes.vocabulary, length: 16),
      objective: .classes(sizes.vocabulary),
      hyperparameters: [
        ("vocabulary", sizes.vocabulary), ("width", sizes.width), ("layers", sizes.layers),
        ("heads", sizes.heads), ("key heads", sizes.keyHeads), ("hidden", hidden),
      ], head: ["lm_head"])
    settings.finish(&result)
    result.ignorable = [".rotary_emb.inv_freq"]
    if sizes.hasBias {
      result.attentionBiases = (0..<sizes.layers).map { number in
        let part = "\(trunk)layers.\(number).self_attn"
        return AttentionBiases(
          layer: part, query: ("\(part).q_proj.bias", 0..<queries),
          key: ("\(part).k_proj.bias", 0..<keys))
      }
    }
    return result
  }
}
