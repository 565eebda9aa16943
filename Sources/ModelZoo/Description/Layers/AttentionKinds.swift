internal import TrainingCore

extension LayerKind {
  /// Layers with attention.
  static let attention: [LayerKind] = [
    LayerKind(
      "MultiheadAttention", "embed_dim num_heads dropout bias batch_first", required: 2,
      hasTensors: true
    ) { arguments, allowance, random in
      let width = try arguments.integer("embed_dim", 1...(1 << 20))
      let heads = try arguments.integer("num_heads", 1...width)
      // In described models, the batch is always the first dimension.
      try arguments.only("batch_first", .flag(true))
      guard width % heads == 0 else {
        throw LayerError("MultiheadAttention: \(heads) heads do not share a width of \(width)")
      }
      try allowance.take([4 * width, width])
      let layer = try MultiheadAttention(
        width, numHeads: heads, dropout: try arguments.number("dropout", 0...1, or: 0),
        bias: try arguments.flag("bias", or: true), from: random)
      return DescribedLayer(layer) { shape in
        guard shape.count == 3, shape[2] == width else {
          throw fail("MultiheadAttention", "[batch, tokens, \(width)]", shape)
        }
        return shape
      }
    },
    LayerKind(
      "TransformerEncoderLayer",
      "d_model nhead dim_feedforward dropout activation layer_norm_eps batch_first norm_first bias",
      required: 2, hasTensors: true
    ) { arguments, allowance, random in
      let width = try arguments.integer("d_model", 1...(1 << 20))
      let heads = try arguments.integer("nhead", 1...width)
      let hidden = try arguments.integer("dim_feedforward", or: 2048)
      guard width % heads == 0 else {
        throw LayerError("TransformerEncoderLayer: \(heads) heads do not share a width of \(width)")
      }
      try arguments.only("batch_first", .flag(true))
      try allowance.take([4 * width + 2 * hidden + 16, width])
      let layer = try TransformerEncoderLayer(
        width, numHeads: heads, dimFeedforward: hidden,
        dropout: try arguments.number("dropout", 0...1, or: 0.1),
        activation: try arguments.word("activation", ["relu", "gelu"], or: "relu") == "gelu"
          ? .gelu : .relu,
        layerNormEps: try arguments.number("layer_norm_eps", 0...1, or: 1e-5),
        normFirst: try arguments.flag("norm_first", or: false),
        bias: try arguments.flag("bias", or: true), from: random)
      return DescribedLayer(layer) { shape in
        guard shape.count == 3, shape[2] == width else {
          throw fail("TransformerEncoderLayer", "[batch, tokens, \(width)]", shape)
        }
        return shape
      }
    },
  ]
}
