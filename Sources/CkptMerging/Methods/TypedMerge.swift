/// A merge method with its parameters, checked by the compiler: each method accepts only the
/// parameters it takes.
///
/// ```swift
/// let merge = try StateDictMerge(
///   inputs, by: .ties(base: 0, weights: [0.7, 0.3], densities: [0.5, 0.5]))
/// ```
/// Values for each input are given in the order of the inputs, without the base if there is one. A
/// single value applies to all of them; an empty list stands for the method's default. `base` is an
/// index in the inputs.
public struct TypedMerge: Sendable {
  let method: MergeMethod
  var base: Int?
  var perInput: [(parameter: MergeParameter, values: [MergeSetting])] = []
  var shared = MergeSettings()

  private init(_ method: MergeMethod, base: Int? = nil) {
    self.method = method
    self.base = base
  }

  private func with(_ parameter: MergeParameter, _ values: [MergeSetting]) -> TypedMerge {
    var result = self
    if !values.isEmpty { result.perInput.append((parameter, values)) }
    return result
  }

  private func with(_ parameter: MergeParameter, _ value: MergeSetting?) -> TypedMerge {
    var result = self
    if let value { result.shared[parameter] = value }
    return result
  }

  private func with(_ parameter: MergeParameter, _ value: Bool) -> TypedMerge {
    with(parameter, MergeSetting(value ? 1 : 0))
  }

  /// The weighted average; without `normalize`, the weighted sum.
  public static func linear(weights: [MergeSetting], normalize: Bool = true) -> TypedMerge {
    TypedMerge(.linear).with(.weight, weights).with(.normalize, normalize)
  }

  /// Spherical linear interpolation from the base (`t` = 0) to the other input (`t` = 1).
  public static func slerp(base: Int, t: MergeSetting) -> TypedMerge {
    TypedMerge(.slerp, base: base).with(.t, t)
  }

  /// Spherical linear interpolation between two inputs or, with a base, two task vectors.
  ///
  /// The whole tensor is one vector with `flatten`; otherwise vectors run along the last dimension
  /// or, with `rowWise`, along dimension 0.
  public static func nuslerp(
    base: Int? = nil, weights: [MergeSetting], flatten: Bool = true, rowWise: Bool = false
  ) -> TypedMerge {
    TypedMerge(.nuslerp, base: base).with(.weight, weights).with(.flatten, flatten)
      .with(.rowWise, rowWise)
  }

  /// Spherical interpolation of any number of inputs or, with a base, task vectors.
  public static func multislerp(
    base: Int? = nil, weights: [MergeSetting], normalizeWeights: Bool = true
  ) -> TypedMerge {
    TypedMerge(.multislerp, base: base).with(.weight, weights)
      .with(.normalizeWeights, normalizeWeights)
  }

  /// The Karcher mean with equal weights; by default at most 10 iterations and a tolerance of 1e-5.
  public static func karcher(
    maxIterations: Int? = nil, tolerance: Double? = nil
  ) -> TypedMerge {
    TypedMerge(.karcher)
      .with(.maxIterations, maxIterations.map { MergeSetting(Double($0)) })
      .with(.tolerance, tolerance.map { MergeSetting($0) })
  }

  /// The base plus `lambda` times the weighted sum of the task vectors.
  public static func taskArithmetic(
    base: Int, weights: [MergeSetting], lambda: MergeSetting? = nil, normalize: Bool = false
  ) -> TypedMerge {
    TypedMerge(.taskArithmetic, base: base).with(.weight, weights).with(.lambda, lambda)
      .with(.normalize, normalize)
  }

  /// TIES: task vectors trimmed to their largest elements, with sign election.
  public static func ties(
    base: Int, weights: [MergeSetting], densities: [MergeSetting] = [],
    lambda: MergeSetting? = nil, normalize: Bool = true, rescale: Bool = false
  ) -> TypedMerge {
    sparse(.ties, base, weights, densities, lambda, normalize, rescale)
  }

  /// DARE: task vectors of which random elements are dropped; with sign election if `electing`.
  public static func dare(
    base: Int, electing: Bool, weights: [MergeSetting], densities: [MergeSetting] = [],
    lambda: MergeSetting? = nil, normalize: Bool? = nil, rescale: Bool = true
  ) -> TypedMerge {
    sparse(
      electing ? .dareTies : .dareLinear, base, weights, densities, lambda, normalize, rescale)
  }

  /// DELLA: as DARE, but smaller elements are more likely to be dropped. The probability of keeping
  /// an element ranges over the density plus or minus the epsilon.
  public static func della(
    base: Int, electing: Bool, weights: [MergeSetting], densities: [MergeSetting] = [],
    epsilons: [MergeSetting] = [], lambda: MergeSetting? = nil, normalize: Bool? = nil,
    rescale: Bool = true
  ) -> TypedMerge {
    sparse(electing ? .della : .dellaLinear, base, weights, densities, lambda, normalize, rescale)
      .with(.epsilon, epsilons)
  }

  /// Model Breadcrumbs: task vectors without their smallest elements and without the fraction
  /// `gammas` of the largest ones; with sign election if `electing`.
  public static func breadcrumbs(
    base: Int, electing: Bool, weights: [MergeSetting], densities: [MergeSetting] = [],
    gammas: [MergeSetting] = [], lambda: MergeSetting? = nil, normalize: Bool? = nil,
    rescale: Bool = false
  ) -> TypedMerge {
    sparse(
      electing ? .breadcrumbsTies : .breadcrumbs, base, weights, densities, lambda, normalize,
      rescale
    ).with(.gamma, gammas)
  }

  /// SCE: selects the fraction `selectTopK` of the elements whose variance is largest; by default
  /// all.
  public static func sce(base: Int, selectTopK: MergeSetting? = nil) -> TypedMerge {
    TypedMerge(.sce, base: base).with(.selectTopK, selectTopK)
  }

  /// Model Stock: interpolates from the base towards the average, by a factor computed from the
  /// angles between the task vectors; for each row separately if `filterWise`.
  public static func modelStock(base: Int, filterWise: Bool = false) -> TypedMerge {
    TypedMerge(.modelStock, base: base).with(.filterWise, filterWise)
  }

  /// NearSwap: the other input's elements where they are within `t` of the base's; elsewhere the
  /// base moved by `t` towards them.
  public static func nearswap(base: Int, t: MergeSetting) -> TypedMerge {
    TypedMerge(.nearswap, base: base).with(.t, t)
  }

  /// Arcee Fusion: the other input's most important elements; the base's elsewhere.
  public static func arceeFusion(base: Int) -> TypedMerge { TypedMerge(.arceeFusion, base: base) }

  /// One input, multiplied by `scale`; by default unchanged.
  public static func passthrough(scale: MergeSetting? = nil) -> TypedMerge {
    TypedMerge(.passthrough).with(.scale, scale.map { [$0] } ?? [])
  }

  /// The exponential moving average over the inputs in order: each step keeps the fraction `decay`
  /// of the average so far.
  public static func ema(decay: MergeSetting) -> TypedMerge {
    TypedMerge(.ema).with(.decay, decay)
  }

  /// Stochastic weight averaging: the plain average.
  public static var swa: TypedMerge { TypedMerge(.swa) }

  private static func sparse(
    _ method: MergeMethod, _ base: Int, _ weights: [MergeSetting], _ densities: [MergeSetting],
    _ lambda: MergeSetting?, _ normalize: Bool?, _ rescale: Bool
  ) -> TypedMerge {
    let merge = TypedMerge(method, base: base).with(.weight, weights).with(.density, densities)
      .with(.lambda, lambda).with(.rescale, rescale)
    return normalize.map { merge.with(.normalize, $0) } ?? merge
  }
}

extension StateDictMerge {
  /// Creates a merge of `inputs` by a method with its parameters.
  ///
  /// - Throws: `MergeError.wrongInputs` unless each list of values has one value, or one for each
  ///   input except the base.
  public init(_ inputs: [MergeInput], by merge: TypedMerge) throws(MergeError) {
    var inputs = inputs
    let others = inputs.indices.filter { $0 != merge.base }
    for (parameter, values) in merge.perInput {
      guard values.count == 1 || values.count == others.count else {
        throw .wrongInputs(
          method: merge.method.name,
          problem: "has \(values.count) values of \(parameter.rawValue) for \(others.count) inputs")
      }
      for (number, input) in others.enumerated() {
        inputs[input].settings[parameter] = values.count == 1 ? values[0] : values[number]
      }
    }
    self.init(method: merge.method, inputs: inputs, base: merge.base)
    settings = merge.shared
  }
}

extension MergeSetting: ExpressibleByFloatLiteral, ExpressibleByIntegerLiteral {
  /// Creates a setting with the same value for all keys.
  public init(floatLiteral value: Double) { self.init(value) }
  /// Creates a setting with the same value for all keys.
  public init(integerLiteral value: Int) { self.init(Double(value)) }
}
