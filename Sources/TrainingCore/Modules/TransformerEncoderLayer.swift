/// Self-attention and a feed-forward network of two linear layers, each with a residual connection
/// and a layer norm: PyTorch's `nn.TransformerEncoderLayer` with `batch_first=True` (Vaswani et
/// al., arXiv:1706.03762).
public final class TransformerEncoderLayer: Module {
  /// The function between the two linear layers.
  public enum Activation: String, Sendable, CaseIterable {
    /// `max(x, 0)`.
    case relu
    /// x Φ(x).
    case gelu
  }

  /// The attention.
  public let selfAttn: MultiheadAttention
  /// The linear layer to the feed-forward network's width.
  public let linear1: Linear
  /// The linear layer back from it.
  public let linear2: Linear
  let norm1: LayerNorm
  let norm2: LayerNorm
  let dropout: Dropout
  private let activation: Activation
  private let normFirst: Bool

  /// A layer with PyTorch's initialization.
  ///
  /// - Parameters:
  ///   - dModel: the width of inputs and outputs, `d_model` in PyTorch.
  ///   - numHeads: the number of attention heads, `nhead` in PyTorch.
  ///   - dimFeedforward: the width of the feed-forward network.
  ///   - dropout: the probability with which elements are set to zero while training.
  ///   - activation: the function between the two linear layers.
  ///   - layerNormEps: added to variances.
  ///   - normFirst: whether inputs rather than sums are normalized.
  ///   - bias: whether layers and norms have biases.
  ///   - random: the source of the initial values.
  /// - Throws: `TrainingError.badArgument` unless the heads divide the width;
  ///   `TrainingError.badShape` for sizes that no tensor has; `TrainingError.outOfMemory`.
  public init(
    _ dModel: Int, numHeads: Int, dimFeedforward: Int = 2048, dropout: Double = 0.1,
    activation: Activation = .relu, layerNormEps: Double = 1e-5, normFirst: Bool = false,
    bias: Bool = true, from random: RandomSource = .shared
  ) throws {
    selfAttn = try MultiheadAttention(
      dModel, numHeads: numHeads, dropout: dropout, bias: bias, from: random)
    linear1 = try Linear(dModel, dimFeedforward, bias: bias, from: random)
    linear2 = try Linear(dimFeedforward, dModel, bias: bias, from: random)
    norm1 = try LayerNorm([dModel], epsilon: layerNormEps, bias: bias)
    norm2 = try LayerNorm([dModel], epsilon: layerNormEps, bias: bias)
    self.dropout = Dropout(dropout, from: random)
    self.activation = activation
    self.normFirst = normFirst
  }

  private func feedForward(_ input: Variable) throws -> Variable {
    let hidden = try linear1(input)
    let activated =
      switch activation {
      case .relu: try hidden.relu()
      case .gelu: try hidden.gelu()
      }
    return try dropout(linear2(dropout(activated)))
  }

  /// The layer applied to `input`.
  ///
  /// - Parameter input: of shape [batch, tokens, width].
  /// - Returns: a variable of the shape of `input`.
  /// - Throws: `TrainingError` if the shape or the element type of `input` does not fit.
  override public func forward(_ input: Variable) throws -> Variable {
    if normFirst {
      let value = try input + dropout(selfAttn(norm1(input)))
      return try value + feedForward(norm2(value))
    }
    let value = try norm1(input + dropout(selfAttn(input)))
    return try norm2(value + feedForward(value))
  }
}
