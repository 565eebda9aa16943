/// Attention by several heads: `nn.MultiheadAttention`, with the batch first.
public final class MultiheadAttention: Module {
  /// Of shape [3 width, width]: the maps to queries, keys and values, one below the other.
  public let inProjWeight: Parameter
  /// Of shape [3 width].
  public let inProjBias: Parameter?
  /// The map that joins the heads.
  public let outProj: Linear
  /// How many heads there are.
  public var headCount: Int { heads }
  let heads: Int
  let width: Int
  let dropout: Double
  let random: RandomSource

  /// Attention of `heads` heads over vectors of `width` numbers.
  ///
  /// - Throws: `TrainingError` unless the heads share the width evenly.
  public init(
    _ width: Int, heads: Int, dropout: Double = 0, bias: Bool = true,
    from random: RandomSource = .shared
  ) throws {
    guard heads > 0, width > 0, width < 1 << 31, width % heads == 0 else {
      throw TrainingError.badArgument(
        operation: "multihead_attention", problem: "\(heads) heads for a width of \(width)")
    }
    self.heads = heads
    self.width = width
    self.dropout = dropout
    self.random = random
    inProjWeight = try Parameter([3 * width, width], .xavierUniform, from: random)
    inProjBias = try bias ? Parameter([3 * width], .constant(0), from: random) : nil
    outProj = try Linear(width, width, bias: bias, from: random)
    outProj.bias?.reinitialize(.constant(0))
  }

  override public func forward(_ input: Variable) throws -> Variable {
    try forward(query: input, key: input, value: input)
  }

  /// What the queries make of the values whose keys they match.
  ///
  /// - Parameters:
  ///   - query: of shape [batch, targets, width].
  ///   - key: of shape [batch, sources, width].
  ///   - value: of shape [batch, sources, width].
  ///   - mask: broadcast to [batch, heads, targets, sources]: of type bool, true where a target may
  ///     *not* look at a source, as in `nn.MultiheadAttention`; or numbers to be added.
  ///   - keyPaddingMask: of shape [batch, sources], true for sources to be left out.
  ///   - isCausal: whether a target looks only at sources that are not behind it.
  public func forward(
    query: Variable, key: Variable, value: Variable, mask: Variable? = nil,
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
      try $0.reshaped([$0.shape[0], $0.shape[1], heads, width / heads]).permuted([0, 2, 1, 3])
    }
    var allowed = try mask.map { $0.scalarType == .bool ? try $0.inverted() : $0 }
    if let keyPaddingMask {
      let keys = try keyPaddingMask.inverted().unsqueezed(1).unsqueezed(1)
      allowed = try allowed.map { try Self.both($0, keys) } ?? keys
    }
    let joined = try Variable.attention(
      query: split[0], key: split[1], value: split[2], mask: allowed, isCausal: isCausal,
      dropout: isTraining ? dropout : 0, from: random)
    return try outProj(joined.permuted([0, 2, 1, 3]).reshaped(query.shape))
  }

  /// A mask that allows what both allow.
  private static func both(_ first: Variable, _ second: Variable) throws -> Variable {
    let shape = try Variable.broadcast(first.shape, second.shape, "mask")
    guard first.scalarType == .bool else {
      return try first.expanded(to: shape).maskedFill(second.inverted(), -.infinity)
    }
    let flags = zip(
      try first.expanded(to: shape).integers(), try second.expanded(to: shape).integers())
    return try Variable(mask: flags.map { $0 != 0 && $1 != 0 }, shape: shape)
  }
}
