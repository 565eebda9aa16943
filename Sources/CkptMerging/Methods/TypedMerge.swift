/// A merge method with the parameters that it takes: one that it does not take does not compile.
///
/// ```swift
/// let merge = try StateDictMerge(inputs, by: .ties(base: 0, weights: [0.7, 0.3], densities: [0.5, 0.5]))
/// ```
/// Values for each input are given in the order of the inputs, without the base where there is one; one value counts
/// for all of them, none is the method's default.
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

  /// The weighted average; without `normalize` the weighted sum.
  public static func linear(weights: [MergeSetting], normalize: Bool = true) -> TypedMerge {
    TypedMerge(.linear).with(.weight, weights).with(.normalize, normalize)
  }

  /// Spherical interpolation from the base (0) to the other input (1).
  public static func slerp(base: Int, t: MergeSetting) -> TypedMerge {
    TypedMerge(.slerp, base: base).with(.t, t)
  }

  /// Spherical interpolation of two inputs, or with a base of two task vectors; as whole tensors, or of runs along the
  /// last dimension (`flatten` false), or along dimension 0 (`rowWise` too).
  public static func nuslerp(
    base: Int? = nil, weights: [MergeSetting], flatten: Bool = true, rowWise: Bool = false
  ) -> TypedMerge {
    TypedMerge(.nuslerp, base: base).with(.weight, weights).with(.flatten, flatten)
      .with(.rowWise, rowWise)
  }

  /// Spherical interpolation of any number of inputs.
  public static func multislerp(
    base: Int? = nil, weights: [MergeSetting], normalizeWeights: Bool = true
  ) -> TypedMerge {
    TypedMerge(.multislerp, base: base).with(.weight, weights)
      .with(.normalizeWeights, normalizeWeights)
  }

  /// The mean on the sphere.
  public static func karcher(
    maxIterations: Int? = nil, tolerance: Double? = nil
  ) -> TypedMerge {
    TypedMerge(.karcher)
      .with(.maxIterations, maxIterations.map { MergeSetting(Double($0)) })
      .with(.tolerance, tolerance.map { MergeSetting($0) })
  }

  /// The base plus the weighted sum of the task vectors.
  public static func taskArithmetic(
    base: Int, weights: [MergeSetting], lambda: MergeSetting? = nil, normalize: Bool = false
  ) -> TypedMerge {
    TypedMerge(.taskArithmetic, base: base).with(.weight, weights).with(.lambda, lambda)
      .with(.normalize, normalize)
  }

  /// Task vectors trimmed to their largest elements, with an election of signs.
  public static func ties(
    base: Int, weights: [MergeSetting], densities: [MergeSetting] = [],
    lambda: MergeSetting? = nil, normalize: Bool = true, rescale: Bool = false
  ) -> TypedMerge {
    sparse(.ties, base, weights, densities, lambda, normalize, rescale)
  }

  /// Task vectors of which a part is dropped by chance; with an election of signs if `electing`.
  public static func dare(
    base: Int, electing: Bool, weights: [MergeSetting], densities: [MergeSetting] = [],
    lambda: MergeSetting? = nil, normalize: Bool? = nil, rescale: Bool = true
  ) -> TypedMerge {
    sparse(
      electing ? .dareTies : .dareLinear, base, weights, densities, lambda, normalize, rescale)
  }

  /// The same, where small elements are dropped more likely than large ones, by `epsilons` around the density.
  public static func della(
    base: Int, electing: Bool, weights: [MergeSetting], densities: [MergeSetting] = [],
    epsilons: [MergeSetting] = [], lambda: MergeSetting? = nil, normalize: Bool? = nil,
    rescale: Bool = true
  ) -> TypedMerge {
    sparse(electing ? .della : .dellaLinear, base, weights, densities, lambda, normalize, rescale)
      .with(.epsilon, epsilons)
  }

  /// Task vectors without their smallest elements and without the part `gammas` of very largest ones.
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

  /// Select, calculate, erase: of the elements that vary most the part `selectTopK`.
  public static func sce(base: Int, selectTopK: MergeSetting? = nil) -> TypedMerge {
    TypedMerge(.sce, base: base).with(.selectTopK, selectTopK)
  }

  /// From the base towards the average, as far as the angles between the task vectors say.
  public static func modelStock(base: Int, filterWise: Bool = false) -> TypedMerge {
    TypedMerge(.modelStock, base: base).with(.filterWise, filterWise)
  }

  /// The other input's elements where they are within `t` of the base's, else the base moved by `t`.
  public static func nearswap(base: Int, t: MergeSetting) -> TypedMerge {
    TypedMerge(.nearswap, base: base).with(.t, t)
  }

  /// The other input's elements that matter most, else the base's.
  public static func arceeFusion(base: Int) -> TypedMerge { TypedMerge(.arceeFusion, base: base) }

  /// One input, scaled.
  public static func passthrough(scale: MergeSetting? = nil) -> TypedMerge {
    TypedMerge(.passthrough).with(.scale, scale.map { [$0] } ?? [])
  }

  /// The exponential moving average over the inputs in their order.
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
  /// A merge of `inputs` by a method with its parameters.
  ///
  /// - Throws: `MergeError.wrongInputs` unless each list of values has one value, or one for each input but the base.
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
  /// The same value everywhere.
  public init(floatLiteral value: Double) { self.init(value) }
  /// The same value everywhere.
  public init(integerLiteral value: Int) { self.init(Double(value)) }
}
