extension Variable {
  /// PyTorch's `scaled_dot_product_attention`: softmax(q kᵀ scale + mask) v.
  ///
  /// - Parameters:
  ///   - query: of shape [..., targets, width].
  ///   - key: of shape [..., sources, width].
  ///   - value: of shape [..., sources, value width].
  ///   - mask: broadcast to [..., targets, sources]: of type bool, true where a target may look at a
  ///     source; or numbers to be added.
  ///   - isCausal: whether a target looks only at sources that are not behind it.
  ///   - scale: 1 / √width unless given.
  public static func attention(
    query: Variable, key: Variable, value: Variable, mask: Variable? = nil, isCausal: Bool = false,
    dropout: Double = 0, scale: Double? = nil, from random: RandomSource = .shared
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
    if let mask {
      scores =
        mask.scalarType == .bool
        ? try scores.maskedFill(mask.inverted(), -.infinity) : try scores + mask
    }
    return try scores.softmax().dropout(dropout, from: random).matmul(value)
  }

  /// True where a source is behind a target, and so not to be looked at.
  static func causalMask(_ targets: Int, _ sources: Int) throws -> Variable {
    var mask = [Bool](repeating: false, count: targets * sources)
    for target in 0..<targets {
      for source in min(target + 1, sources)..<sources { mask[target * sources + source] = true }
    }
    return try Variable(mask: mask, shape: [targets, sources])
  }

  /// True where this mask is false.
  public func inverted() throws -> Variable {
    guard scalarType == .bool else {
      throw TrainingError.badType(operation: "not", problem: "a mask of \(scalarType.rawValue)")
    }
    return try Variable(mask: integers().map { $0 == 0 }, shape: shape)
  }
}
