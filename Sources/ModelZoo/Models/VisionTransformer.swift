internal import CkptBytes
public import TrainingCore

/// Self-attention and a feed-forward network, each with a residual connection: torchvision's
/// `EncoderBlock`.
final class VisionEncoderBlock: Module {
  let ln1: LayerNorm
  let selfAttention: MultiheadAttention
  let ln2: LayerNorm
  let mlp: Sequential

  override class var keyNames: [String: String] { ["ln1": "ln_1", "ln2": "ln_2"] }

  init(_ width: Int, heads: Int, hidden: Int, from random: RandomSource) throws {
    ln1 = try LayerNorm(width, epsilon: 1e-6)
    selfAttention = try MultiheadAttention(width, numHeads: heads, from: random)
    ln2 = try LayerNorm(width, epsilon: 1e-6)
    let (widen, narrow) = (
      try Linear(width, hidden, from: random), try Linear(hidden, width, from: random)
    )
    try widen.weight.initializing(by: .xavierUniform, from: random)
    try narrow.weight.initializing(by: .xavierUniform, from: random)
    // The dropouts are needed for the layers' numbers in the keys; torchvision's probability is 0.
    mlp = Sequential(
      widen, GELU(), Dropout(0, from: random), narrow, Dropout(0, from: random))
  }

  override func forward(_ input: Variable) throws -> Variable {
    let value = try input + selfAttention(ln1(input))
    return try value + mlp(ln2(value))
  }
}

/// The encoder of a vision transformer: torchvision's `Encoder`.
final class VisionEncoder: Module {
  let posEmbedding: Parameter
  let layers: Sequential
  let ln: LayerNorm

  init(_ width: Int, tokens: Int, layers: Int, heads: Int, hidden: Int, from random: RandomSource)
    throws
  {
    posEmbedding = try Parameter(
      [1, tokens, width], .normal(mean: 0, standardDeviation: 0.02), from: random)
    self.layers = Sequential(
      named: try (0..<layers).map {
        (
          "encoder_layer_\($0)",
          try VisionEncoderBlock(width, heads: heads, hidden: hidden, from: random)
        )
      })
    ln = try LayerNorm(width, epsilon: 1e-6)
  }

  override func forward(_ input: Variable) throws -> Variable {
    try ln(layers(input + posEmbedding))
  }
}

/// torchvision's `VisionTransformer`, with its keys (Dosovitskiy et al., arXiv:2010.11929).
public final class VisionTransformer: Module {
  let classToken: Parameter
  let convProj: Conv2d
  let encoder: VisionEncoder
  let heads: Sequential
  private let tokens: Int

  /// Creates a transformer with new weights.
  ///
  /// - Parameters:
  ///   - inputs: the number of input channels.
  ///   - patch: the height and width of a patch, in pixels.
  ///   - grid: the number of patches in each direction.
  ///   - width: the width of hidden states.
  ///   - layers: the number of layers.
  ///   - heads: the number of attention heads.
  ///   - hidden: the width of the feed-forward networks.
  ///   - classes: the number of classes.
  ///   - random: the source of the initial weights.
  /// - Throws: `TrainingError` for invalid sizes.
  public init(
    inputs: Int = 3, patch: Int, grid: Int, width: Int, layers: Int, heads: Int, hidden: Int,
    classes: Int, from random: RandomSource = .shared
  ) throws {
    tokens = grid * grid
    classToken = try Parameter([1, 1, width], .constant(0), from: random)
    convProj = try Conv2d(
      inputs, width, kernelSize: Pair(patch), stride: Pair(patch), from: random)
    encoder = try VisionEncoder(
      width, tokens: tokens + 1, layers: layers, heads: heads, hidden: hidden, from: random)
    self.heads = Sequential(named: [("head", try Linear(width, classes, from: random))])
  }

  /// Computes the logits of each input.
  ///
  /// - Parameter input: of shape [batch, channels, grid · patch, grid · patch].
  /// - Returns: a variable of shape [batch, classes].
  /// - Throws: `TrainingError` if the shape or the element type of `input` does not fit.
  override public func forward(_ input: Variable) throws -> Variable {
    let patches = try convProj(input).flattened(startDimension: 2).transposed(1, 2)
    guard patches.shape[1] == tokens else {
      throw TrainingError.badShape(
        operation: "vision_transformer",
        problem: "an image of shape \(input.shape) has \(patches.shape[1]) patches, not \(tokens)")
    }
    let first = try classToken.expanded(to: [input.shape[0], 1, patches.shape[2]])
    let value = try encoder(Variable.cat([first, patches], dimension: 1))
    return try heads(value.selected(0, dimension: 1))
  }
}

/// Vision transformers; patches, width, depth, and the number of classes are inferred. Shapes do
/// not determine the number of heads: unless given, it is the width divided by 64, as in all of
/// torchvision's except `vit_h_14`.
struct VisionTransformerFamily: ModelFamily {
  var name: String { "vit_b_16" }
  var anchor: String { "conv_proj.weight" }
  var options: [(name: String, explanation: String)] {
    [ModelOptions.classes, ("heads", "the number of attention heads; width / 64 unless given")]
  }

  func makePublishedModule(from random: RandomSource) throws -> Module? {
    try VisionTransformer(
      patch: 16, grid: 14, width: 768, layers: 12, heads: 12, hidden: 3072, classes: 1000,
      from: random)
  }

  func recognizes(_ shapes: StateShapes) -> Bool {
    shapes["class_token"] != nil && shapes["encoder.pos_embedding"] != nil
  }

  func makeModel(
    fitting shapes: StateShapes, _ options: ModelOptions, from random: RandomSource
  ) throws -> ZooModel {
    let stem = try shapes.sizes("conv_proj.weight", rank: 4, for: name)
    let positions = try shapes.sizes("encoder.pos_embedding", rank: 3, for: name)
    let layer = "encoder.layers.encoder_layer_"
    let hidden = try shapes.sizes("\(layer)0.mlp.0.weight", rank: 2, for: name)[0]
    var layers = 0
    while shapes["\(layer)\(layers).ln_1.weight"] != nil { layers += 1 }
    let grid = Int(saturating: Double(positions[1] - 1).squareRoot())
    guard grid > 0, grid <= 64, grid * grid == positions[1] - 1, stem[2] == stem[3],
      stem[2] <= 64, stem[0] == positions[2]
    else {
      throw ZooError.cannotInfer(
        model: name, key: "encoder.pos_embedding",
        problem: "\(positions) are no class token and a square of patches")
    }
    var settings = Settings(options, for: name, types: [])
    let heads = try settings.count("heads", [], usual: max(stem[0] / 64, 1))
    let classes =
      try options.count("classes", for: name) ?? shapes["heads.head.weight"]?.first ?? 1000
    let model = try VisionTransformer(
      inputs: stem[1], patch: stem[2], grid: grid, width: stem[0], layers: layers, heads: heads,
      hidden: hidden, classes: classes, from: random)
    var result = ZooModel(
      name: name, module: model, input: .images(channels: stem[1], size: grid * stem[2]),
      objective: .classes(classes),
      hyperparameters: [
        ("classes", classes), ("input channels", stem[1]), ("patch", stem[2]), ("grid", grid),
        ("width", stem[0]), ("layers", layers), ("heads", heads), ("hidden", hidden),
      ], head: ["heads"])
    settings.finish(&result)
    let width = stem[0]
    result.attentionBiases = (0..<layers).map { number in
      let key = "\(layer)\(number).self_attention.in_proj_bias"
      return AttentionBiases(
        layer: "\(layer)\(number).self_attention", query: (key, 0..<width),
        key: (key, width..<2 * width))
    }
    return result
  }
}
