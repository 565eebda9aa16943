internal import CkptBytes
internal import CkptTensors

/// The plan of one result tensor: the tensors it is merged from, and the settings that its
/// parameters come from.
struct TensorPlan {
  /// Its key in the result.
  let key: String
  /// The layer's relative position: 0 for the first layer (and outside the layers), 1 for the last.
  let t: Double
  /// The tensors to merge, in order.
  let sources: [Source]
  /// The index in `sources` of the base; nil without one.
  let base: Int?
  /// The settings shared by all sources, highest precedence first.
  let shared: [MergeSettings]

  /// One tensor to merge: a key of an input, with the settings for it.
  struct Source {
    /// The index of the input in the merge.
    let input: Int
    /// The tensor's key in that input.
    let key: String
    /// The name that parameter patterns are matched with: the key, or the missing head's name where
    /// the embedding `key` replaces it.
    let name: String
    let settings: [MergeSettings]
  }
}

extension TensorPlan {
  /// The sources in the order in which the method takes them: the base first, if the method uses
  /// one.
  func orderedSources(for method: MergeMethod) -> (sources: [Source], hasBase: Bool) {
    guard method.baseUse != .ignored, let base else { return (sources, false) }
    return ([sources[base]] + sources.indices.filter { $0 != base }.map { sources[$0] }, true)
  }

  /// The operation that merges the tensor, and all parameter values that were looked up. Equal
  /// values give the same operation, except for random methods, which also depend on the key.
  func merge(
    _ method: MergeMethod, shape: [Int], seed: UInt64
  ) throws -> (operation: any TensorMerge, parameters: [Double?]) {
    let (sources, hasBase) = orderedSources(for: method)
    try check(method, count: sources.count, hasBase: hasBase)
    let others = hasBase ? Array(sources.dropFirst()) : sources
    let resolver = ParameterResolver(
      method: method, key: key, t: t, shared: shared,
      inputs: others.map { ($0.name, $0.settings) })
    let operation = try operation(
      of: method, resolver, sources: sources, hasBase: hasBase, shape: shape, seed: seed)
    return (operation, resolver.found.values)
  }

  /// Looks up the method's parameters and creates the operation.
  private func operation(
    of method: MergeMethod, _ resolver: ParameterResolver, sources: [Source], hasBase: Bool,
    shape: [Int], seed: UInt64
  ) throws -> any TensorMerge {
    switch method {
    case .linear:
      let weights = try resolver.values(.weight, default: nil)
      guard try resolver.flag(.normalize, default: true) else {
        return FixedCombination(factors: weights, hasBase: false)
      }
      return FixedCombination(factors: try Self.normalized(weights, key), hasBase: false)
    case .swa:
      let share = 1 / Double(sources.count)
      return FixedCombination(
        factors: [Double](repeating: share, count: sources.count), hasBase: false)
    case .ema:
      guard let decay = try resolver.value(.decay) else {
        throw MergeError.badParameter(name: "decay", problem: "is needed by ema")
      }
      try Self.check(.decay, decay, 0...1, key)
      var factors: [Double] = []
      for index in sources.indices {
        factors = factors.map { $0 * decay } + [index == 0 ? 1 : 1 - decay]
      }
      return FixedCombination(factors: factors, hasBase: false)
    case .passthrough:
      let scale = try resolver.values(.scale, default: 1)
      return FixedCombination(factors: scale, hasBase: false)
    case .taskArithmetic:
      let weights = try resolver.values(.weight, default: nil)
      let total = weights.reduce(0, +)
      let lambda = try resolver.value(.lambda) ?? 1
      let normalizes = try resolver.flag(.normalize, default: false) && abs(total) >= 1e-8
      return FixedCombination(
        factors: weights.map { $0 * lambda / (normalizes ? total : 1) }, hasBase: true)
    case .ties, .dareLinear, .dareTies, .della, .dellaLinear, .breadcrumbs, .breadcrumbsTies:
      return try sparse(method, resolver, shape: shape, seed: seed)
    case .slerp:
      return AngularCombination(
        vectors: .whole, hasBase: false, factors: AngularMethods.slerp(t: try needed(.t, resolver)))
    case .nuslerp:
      let weights = try resolver.values(.weight, default: nil)
      let total = weights.reduce(0, +)
      let t = abs(total) < 1e-6 ? 0.5 : weights[1] / total
      return AngularCombination(
        vectors: Self.vectors(
          shape, whole: try resolver.flag(.flatten, default: true),
          columns: try resolver.flag(.rowWise, default: false)),
        hasBase: hasBase, factors: AngularMethods.nuSlerp(t: t))
    case .multislerp:
      var weights = try resolver.values(.weight, default: nil)
      if weights.count == 1 { return FixedCombination(factors: [1], hasBase: hasBase) }
      if try resolver.flag(.normalizeWeights, default: true) {
        weights = try Self.normalized(weights, key)
      }
      return AngularCombination(
        vectors: .whole, hasBase: hasBase, factors: AngularMethods.multiSlerp(weights: weights))
    case .karcher:
      if sources.count == 1 { return FixedCombination(factors: [1], hasBase: false) }
      let iterations = try resolver.value(.maxIterations) ?? 10
      try Self.check(.maxIterations, iterations, 0...100_000, key)
      let tolerance = try resolver.value(.tolerance) ?? 1e-5
      return AngularCombination(
        vectors: .whole, hasBase: false,
        factors: AngularMethods.karcher(
          maxIterations: Int(saturating: iterations), tolerance: tolerance))
    case .modelStock:
      return AngularCombination(
        vectors: Self.vectors(
          shape, whole: try !resolver.flag(.filterWise, default: false), columns: false),
        hasBase: true, factors: { AngularMethods.modelStock($0, $1) })
    case .sce:
      return SelectCalculateErase(density: try resolver.value(.selectTopK) ?? 1)
    case .nearswap: return NearSwap(t: try needed(.t, resolver))
    case .arceeFusion: return ArceeFusion(rowLength: shape.last ?? 1)
    }
  }

  /// Creates the operation of a method that keeps parts of task vectors (TIES, DARE, DELLA,
  /// Breadcrumbs).
  private func sparse(
    _ method: MergeMethod, _ resolver: ParameterResolver, shape: [Int], seed: UInt64
  ) throws -> any TensorMerge {
    let densities = try resolver.values(.density, default: 1)
    var sparsities: [SparseTaskArithmetic.Sparsity]
    switch method {
    case .ties: sparsities = densities.map { .largest(density: $0) }
    case .dareLinear, .dareTies: sparsities = densities.map { .random(density: $0) }
    case .breadcrumbs, .breadcrumbsTies:
      sparsities = zip(densities, try resolver.values(.gamma, default: 0.01)).map {
        .withoutOutliers(density: $0, gamma: $1)
      }
    default:
      sparsities = try zip(densities, resolver.values(.epsilon, default: 0.15)).map {
        density, epsilon in
        guard density >= 1 || density <= 0 || (density + epsilon < 1 && density - epsilon > 0)
        else {
          throw MergeError.badParameter(
            name: "epsilon",
            problem: "\(epsilon) with a density of \(density) leaves the range from 0 to 1 (\(key))"
          )
        }
        return .randomByRank(density: density, epsilon: epsilon)
      }
    }
    let elects: Bool
    switch method {
    case .ties, .dareTies, .della, .breadcrumbsTies: elects = true
    default: elects = false
    }
    // Ranks are taken along dimension 1; a vector is one row.
    let rowLength = shape.count < 2 ? shape.first ?? 1 : shape.dropFirst().reduce(1, *)
    return SparseTaskArithmetic(
      sparsities: sparsities, weights: try resolver.values(.weight, default: nil),
      electsSigns: elects,
      normalizes: try resolver.flag(.normalize, default: method == .ties || method == .della),
      rescales: try resolver.flag(.rescale, default: method.isRandom),
      lambda: try resolver.value(.lambda) ?? 1, randomKey: Self.randomKey(seed, key),
      rowLength: rowLength, innerCount: shape.count < 3 ? 1 : shape.dropFirst(2).reduce(1, *))
  }

  /// Throws `MergeError.wrongInputs` if a required base is missing or the number of inputs does not
  /// fit the method.
  private func check(_ method: MergeMethod, count: Int, hasBase: Bool) throws {
    if method.baseUse == .required && !hasBase {
      throw MergeError.wrongInputs(method: method.name, problem: "needs a base")
    }
    let counted = method.baseUse == .optional && hasBase ? count - 1 : count
    guard method.inputCounts.contains(counted), counted > 0 else {
      let (least, most) = (method.inputCounts.lowerBound, method.inputCounts.upperBound)
      let wanted = least == most ? "\(least)" : "at least \(least)"
      throw MergeError.wrongInputs(
        method: method.name, problem: "takes \(wanted) inputs, not \(counted)")
    }
  }

  /// The value of a parameter that has no default.
  ///
  /// - Throws: `MergeError.badParameter` if it is not set.
  private func needed(_ parameter: MergeParameter, _ resolver: ParameterResolver) throws -> Double {
    guard let value = try resolver.value(parameter) else {
      throw MergeError.badParameter(
        name: parameter.rawValue, problem: "is needed by \(resolver.method.name) (\(key))")
    }
    return value
  }

  /// Throws `MergeError.badParameter` if `value` is outside `range`.
  private static func check(
    _ parameter: MergeParameter, _ value: Double, _ range: ClosedRange<Double>, _ key: String
  ) throws {
    guard range.contains(value) else {
      throw MergeError.badParameter(
        name: parameter.rawValue,
        problem: "is \(value), not from \(range.lowerBound) to \(range.upperBound) (\(key))")
    }
  }

  /// The weights divided by their sum.
  ///
  /// - Throws: `MergeError.badParameter` if the sum is 0.
  private static func normalized(_ weights: [Double], _ key: String) throws -> [Double] {
    let total = weights.reduce(0, +)
    guard total != 0 else {
      throw MergeError.badParameter(
        name: "weight", problem: "sums up to 0, so it cannot be normalized (\(key))")
    }
    return weights.map { $0 / total }
  }

  /// Which elements of a tensor of `shape` form a vector: all of them, rows along the last
  /// dimension, or columns along dimension 0.
  private static func vectors(
    _ shape: [Int], whole: Bool, columns: Bool
  ) -> AngularCombination.Vectors {
    guard !whole, let last = shape.last, last > 0 else { return .whole }
    return columns && shape.count > 1
      ? .columns(count: shape.dropFirst().reduce(1, *)) : .rows(length: last)
  }

  /// The key of the random number generator: the seed and the tensor's key, mixed (FNV-1a, then
  /// SplitMix64's finalizer).
  private static func randomKey(_ seed: UInt64, _ key: String) -> UInt64 {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in key.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    var bits = hash ^ (seed &* 0x9E37_79B9_7F4A_7C15)
    bits = (bits ^ (bits >> 30)) &* 0xBF58_476D_1CE4_E5B9
    bits = (bits ^ (bits >> 27)) &* 0x94D0_49BB_1331_11EB
    return bits ^ (bits >> 31)
  }
}
