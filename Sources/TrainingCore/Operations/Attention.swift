extension Variable {
  /// softmax(q kᵀ · scale + mask) v: `F.scaled_dot_product_attention` (Vaswani et al.,
  /// arXiv:1706.03762).
  ///
  /// - Parameters:
  ///   - query: of shape [..., targets, width].
  ///   - key: of shape [..., sources, width].
  ///   - value: of shape [..., sources, value width].
  ///   - attentionMask: broadcast to [..., targets, sources], `attn_mask` in PyTorch: of type bool,
  ///     true where a target may attend to a source; or numbers that are added to the scores.
  ///   - dropout: the probability with which attention weights are set to zero.
  ///   - isCausal: whether targets attend only to sources of the same or a lower index.
  ///   - scale: the factor of the scores; 1 / √width unless given.
  ///   - random: the source that decides about dropout.
  /// - Returns: a variable of shape [..., targets, value width].
  /// - Throws: `TrainingError` if shapes or element types do not fit.
  public static func scaledDotProductAttention(
    query: Variable, key: Variable, value: Variable, attentionMask: Variable? = nil,
    dropout: Double = 0, isCausal: Bool = false, scale: Double? = nil,
    from random: RandomSource = .shared
  ) throws -> Variable {
    guard query.rank >= 2, key.rank >= 2, value.rank >= 2,
      query.shape.last == key.shape.last,
      key.shape[key.rank - 2] == value.shape[value.rank - 2]
    else {
      throw TrainingError.badShape(
        operation: "attention",
        problem: "query \(query.shape), key \(key.shape), value \(value.shape)")
    }
    let width = query.shape[query.rank - 1]
    let factor = scale ?? 1 / Double(max(width, 1)).squareRoot()
    var scores = try (query * factor).matmul(key.transposed())
    if isCausal {
      scores = try scores.maskedFill(
        causalMask(query.shape[query.rank - 2], key.shape[key.rank - 2]), -.infinity)
    }
    if let mask = attentionMask {
      scores =
        mask.scalarType == .bool
        ? try scores.maskedFill(mask.logicalNot(), -.infinity) : try scores + mask
    }
    return try scores.softmax().dropout(dropout, from: random).matmul(value)
  }

  /// A mask [targets, sources] that is true where a source has a higher index than the target.
  static func causalMask(_ targets: Int, _ sources: Int) throws -> Variable {
    var mask = [Bool](repeating: false, count: targets * sources)
    for target in 0..<targets {
      for source in min(target + 1, sources)..<sources { mask[target * sources + source] = true }
    }
    return try Variable(mask: mask, shape: [targets, sources])
  }

  /// True where this mask is false: `torch.logical_not`.
  ///
  /// - Throws: `TrainingError.badType` unless the elements are of type bool.
  public func logicalNot() throws -> Variable {
    guard scalarType == .bool else {
      throw TrainingError.badType(operation: "not", problem: "a mask of \(scalarType.rawValue)")
    }
    return try Variable(mask: integers().map { $0 == 0 }, shape: shape)
  }
}
