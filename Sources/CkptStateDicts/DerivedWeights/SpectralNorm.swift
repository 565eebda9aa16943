internal import CkptTensors

/// The largest singular value of a weight by the singular vectors beside it, as
/// `torch.nn.utils.spectral_norm` and `torch.nn.utils.parametrizations.spectral_norm` compute it in
/// evaluation mode: `sigma = uᵀ W v`.
struct SpectralNorm: Sendable {
  let weight, u, v: Tensor

  /// The number of rows that are rounded at a time.
  private static let blockCount = 1024

  /// `uᵀ W v`, where the rows of `W` go along `dimension`; `W v` and the sum are rounded to the
  /// weight's type.
  func sigma(_ dimension: Int) throws -> Double {
    var (sum, products) = (0.0, [Double]())
    let left = try u.makeElementReader()
    func add() throws {
      var factors = [Double](repeating: 0, count: products.count)
      try left.read(into: &factors)
      for (factor, product) in zip(factors, try weight.dtype.rounded(products)) {
        sum += factor * product
      }
      products.removeAll(keepingCapacity: true)
    }
    try WeightRows(weight, along: dimension).eachProduct(with: v) { product in
      products.append(product)
      if products.count == Self.blockCount { try add() }
    }
    if !products.isEmpty { try add() }
    return try weight.dtype.rounded([sum])[0]
  }

  /// The dimension that `u` belongs to.
  ///
  /// The lengths of `u` and `v` tell, unless several dimensions are equally long. Then the vectors
  /// do: the power method leaves `u = W v / |W v|` (`_power_method`), so the dimension for which
  /// that holds is the right one. It must hold there much better than in any other, since the
  /// weight may have been trained a step further.
  /// - Returns: nil if nothing decides.
  func dimension() throws -> Int? {
    let candidates = StepShapes.spectralDimensions(
      u: u.shape[0], v: v.shape[0], of: weight.shape)
    guard candidates.count > 1 else { return candidates.first }
    let distances = try candidates.map { try distance($0) }
    guard let best = distances.min(), let index = distances.firstIndex(of: best) else { return nil }
    let others = distances.indices.filter { $0 != index }
    if others.allSatisfy({ best < 0.25 * distances[$0] }) { return candidates[index] }
    // A weight that is the same in both directions gives the same value either way.
    let values = try candidates.map { try sigma($0) }
    return values.allSatisfy { $0 == values[0] } ? candidates[0] : nil
  }

  /// How far `u` is from `W v / |W v|`.
  private func distance(_ dimension: Int) throws -> Double {
    let left = try u.makeElementReader()
    var (dot, square, own) = (0.0, 0.0, 0.0)
    var factor = [0.0]
    try WeightRows(weight, along: dimension).eachProduct(with: v) { product in
      try left.read(into: &factor)
      dot += factor[0] * product
      square += product * product
      own += factor[0] * factor[0]
    }
    guard square > 0 else { return .infinity }
    return max(own - 2 * dot / square.squareRoot() + 1, 0).squareRoot()
  }
}
