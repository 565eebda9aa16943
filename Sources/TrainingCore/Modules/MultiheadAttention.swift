/// Attention with several heads: PyTorch's `nn.MultiheadAttention` with `batch_first=True` (Vaswani
/// et al., arXiv:1706.03762).
public final class MultiheadAttention: Module {
  /// The projections to queries, keys and values, one below the other: of shape [3 · width, width].
  public let inProjWeight: Parameter
  /// The biases of these projections, of shape [3 · width]; nil without.
  public let inProjBias: Parameter?
  /// The projection of the joined heads.
  public let outProj: Linear
  /// The number of heads.
  public let numHeads: Int
  let width: Int
  let dropout: Double
  var random: RandomSource

  /// Attention with PyTorch's initialization: Xavier's uniform distribution for the input
  /// projections.
  ///
  /// - Parameters:
  ///   - embedDim: the width of queries, keys, values and outputs.
  ///   - numHeads: the number of heads, which divides the width.
  ///   - dropout: the probability with which attention weights are set to zero while training.
  ///   - bias: whether projections have biases.
  ///   - random: the source of the initial values.
  /// - Throws: `TrainingError.badArgument` unless the heads divide the width;
  ///   `TrainingError.badShape` for sizes that no tensor has; `TrainingError.outOfMemory`.
  public init(
    _ embedDim: Int, numHeads: Int, dropout: Double = 0, bias: Bool = true,
    from random: RandomSource = .shared
  ) throws {
    let (width, heads) = (embedDim, numHeads)
    guard heads > 0, width > 0, width < 1 << 31, width % heads == 0 else {
      throw TrainingError.badArgument(
        operation: "multihead_attention", problem: "\(heads) heads for a width of \(width)")
    }
    self.numHeads = numHeads
    self.width = width
    self.dropout = dropout
    self.random = random
    inProjWeight = try Parameter([3 * width, width], .xavierUniform, from: random)
    inProjBias = try bias ? Parameter([3 * width], .constant(0), from: random) : nil
    outProj = try Linear(width, width, bias: bias, from: random)
    outProj.bias?.reinitialize(.constant(0))
  }

  /// Self-attention: `input` gives queries, keys and values.
  ///
  /// - Parameter input: of shape [batch, tokens, width].
  /// - Returns: a variable of the shape of `input`.
  /// - Throws: `TrainingError` if the shape or the element type of `input` does not fit.
  override public func forward(_ input: Variable) throws -> Variable {
    try forward(query: input, key: input, value: input)
  }

  /// The attention outputs for each query.
  ///
  /// - Parameters:
  ///   - query: of shape [batch, targets, width].
  ///   - key: of shape [batch, sources, width].
  ///   - value: of shape [batch, sources, width].
  ///   - attentionMask: broadcast to [batch, heads, targets, sources], `attn_mask` in PyTorch: of
  ///     type bool, true where a target may *not* attend to a source; or numbers that are added to
  ///     the scores.
  ///   - keyPaddingMask: of shape [batch, sources] and type bool, true for sources that are left
  ///     out.
  ///   - isCausal: whether targets attend only to sources of the same or a lower index.
  /// - Returns: a variable of the shape of `query`.
  /// - Throws: `TrainingError` if shapes or element types do not fit.
  public func forward(
    query: Variable, key: Variable, value: Variable, attentionMask: Variable? = nil,
    keyPaddingMask: Variable? = nil, isCausal: Bool = false
  ) throws -> Variable {
    guard query.rank == 3, key.rank == 3, value.rank == 3 else {
      throw TrainingError.badShape(
        operation: "multihead_attention",
        problem: "query \(query.shape), key \(key.shape), value \(value.shape)")
    }
    let projected: [Variable]
    if query === key, key === value {
      projected = try query.linear(inProjWeight, inProjBias).chunked(3, dimension: 2)
    } else {
      let weights = try inProjWeight.chunked(3)
      let biases = try inProjBias?.chunked(3)
      projected = try zip([query, key, value], weights.indices).map { input, i in
        try input.linear(weights[i], biases?[i])
      }
    }
    let split = try projected.map {
      try $0.reshaped([$0.shape[0], $0.shape[1], numHeads, width / numHeads]).permuted([0, 2, 1, 3])
    }
    var allowed = try attentionMask.map { $0.scalarType == .bool ? try $0.logicalNot() : $0 }
    if let keyPaddingMask {
      let keys = try keyPaddingMask.logicalNot().unsqueezed(1).unsqueezed(1)
      allowed = try allowed.map { try Self.both($0, keys) } ?? keys
    }
    let joined = try Variable.scaledDotProductAttention(
      query: split[0], key: split[1], value: split[2], attentionMask: allowed,
      dropout: isTraining ? dropout : 0, isCausal: isCausal, from: random)
    return try outProj(joined.permuted([0, 2, 1, 3]).reshaped(query.shape))
  }

  /// A mask that allows what both masks allow.
  private static func both(_ first: Variable, _ second: Variable) throws -> Variable {
    let shape = try Variable.broadcast(first.shape, second.shape, "mask")
    guard first.scalarType == .bool else {
      return try first.expanded(to: shape).maskedFill(second.logicalNot(), -.infinity)
    }
    let flags = zip(
      try first.expanded(to: shape).integers(), try second.expanded(to: shape).integers())
    return try Variable(mask: flags.map { $0 != 0 && $1 != 0 }, shape: shape)
  }
}
