/// A method that merges several tensors into one. The names are mergekit's, with `-` in place of
/// `_`.
///
/// A task vector is the difference between an input and the base.
public enum MergeMethod: String, Sendable, CaseIterable {
  /// The weighted average, or the weighted sum.
  case linear
  /// Spherical linear interpolation (SLERP) between two inputs.
  case slerp
  /// Spherical linear interpolation between two inputs or two task vectors, treated as whole
  /// vectors, row by row, or column by column.
  case nuslerp
  /// Spherical interpolation of any number of inputs or task vectors.
  case multislerp
  /// The Karcher mean: the mean of directions on the sphere.
  case karcher
  /// The base plus the weighted sum of task vectors (Ilharco et al., 2022).
  case taskArithmetic = "task-arithmetic"
  /// TIES: task vectors trimmed to their largest elements, with sign election.
  case ties
  /// DARE: task vectors of which random elements are dropped.
  case dareLinear = "dare-linear"
  /// DARE with sign election.
  case dareTies = "dare-ties"
  /// DELLA: task vectors of which random elements are dropped, smaller ones more likely, with sign
  /// election.
  case della
  /// DELLA without sign election.
  case dellaLinear = "della-linear"
  /// Model Breadcrumbs: task vectors without their smallest and their very largest elements.
  case breadcrumbs
  /// Model Breadcrumbs with sign election.
  case breadcrumbsTies = "breadcrumbs-ties"
  /// SCE: select the elements with the largest variance, calculate the weights, erase minority
  /// signs.
  case sce
  /// Model Stock: interpolates from the base towards the average, by a factor computed from the
  /// angles between task vectors.
  case modelStock = "model-stock"
  /// NearSwap: takes the other input's elements where they are near the base's, and moves the base
  /// by a fixed amount elsewhere.
  case nearswap
  /// Arcee Fusion: takes the other input's most important elements, and the base's elsewhere.
  case arceeFusion = "arcee-fusion"
  /// One input, unchanged or scaled.
  case passthrough
  /// The exponential moving average over the inputs in their order.
  case ema
  /// Stochastic weight averaging: the plain average of the inputs.
  case swa

  /// The method with the given name, written with `-` or `_`; nil if there is none.
  public init?(name: String) {
    self.init(rawValue: String(name.map { $0 == "_" ? "-" : $0 }))
  }

  /// The name, written with `-`.
  public var name: String { rawValue }

  /// How a method uses a base, that is, the model that task vectors are differences from.
  public enum BaseUse: Sendable {
    /// A base is required.
    case required
    /// A base is optional; with one, task vectors are merged instead of the inputs themselves.
    case optional
    /// A base is merged like any other input.
    case ignored
  }

  /// How the method uses a base.
  public var baseUse: BaseUse {
    switch self {
    case .nuslerp, .multislerp: .optional
    case .linear, .karcher, .passthrough, .ema, .swa: .ignored
    default: .required
    }
  }

  /// The number of inputs it takes: including a required base, excluding an optional one.
  var inputCounts: ClosedRange<Int> {
    switch self {
    case .slerp, .nearswap, .arceeFusion, .nuslerp: 2...2
    case .passthrough: 1...1
    case .modelStock: 3...Int.max
    default: 1...Int.max
    }
  }

  /// The parameters that the method takes.
  public var parameters: [MergeParameter] {
    switch self {
    case .linear: [.weight, .normalize]
    case .slerp, .nearswap: [.t]
    case .nuslerp: [.weight, .rowWise, .flatten]
    case .multislerp: [.weight, .normalizeWeights]
    case .karcher: [.maxIterations, .tolerance]
    case .taskArithmetic: [.weight, .normalize, .lambda]
    case .ties, .dareLinear, .dareTies: [.weight, .density, .normalize, .rescale, .lambda]
    case .della, .dellaLinear: [.weight, .density, .epsilon, .normalize, .rescale, .lambda]
    case .breadcrumbs, .breadcrumbsTies:
      [.weight, .density, .gamma, .normalize, .rescale, .lambda]
    case .sce: [.selectTopK]
    case .modelStock: [.filterWise]
    case .arceeFusion, .swa: []
    case .passthrough: [.scale]
    case .ema: [.decay]
    }
  }

  /// Whether the method draws random numbers, so that its result depends on the seed.
  public var isRandom: Bool {
    switch self {
    case .dareLinear, .dareTies, .della, .dellaLinear: true
    default: false
    }
  }
}

/// A parameter of merge methods; the names are mergekit's.
public enum MergeParameter: String, Sendable, CaseIterable {
  /// The weight of an input.
  case weight
  /// The fraction of a task vector's elements that is kept, from 0 to 1.
  case density
  /// The interpolation factor from the base (0) to the other input (1).
  case t
  /// How far the probabilities of keeping the smallest and the largest elements differ from the
  /// density.
  case epsilon
  /// The fraction of a task vector's elements that is dropped because they are the largest.
  case gamma
  /// The factor that the merged task vector is multiplied by.
  case lambda
  /// Whether the weighted sum is divided by the sum of the weights.
  case normalize
  /// Whether the kept elements of a task vector are scaled up so that their magnitudes sum to that
  /// of all elements.
  case rescale
  /// The factor that the single input is multiplied by.
  case scale
  /// The fraction of the elements with non-zero variance that is selected.
  case selectTopK = "select_topk"
  /// Whether each row is treated as a separate vector.
  case filterWise = "filter_wise"
  /// If the tensor is not flattened: whether the vectors run along dimension 0 instead of the last
  /// dimension.
  case rowWise = "nuslerp_row_wise"
  /// Whether the whole tensor is treated as one vector.
  case flatten = "nuslerp_flatten"
  /// Whether the weights are divided by their sum.
  case normalizeWeights = "normalize_weights"
  /// The maximum number of iterations of the Karcher mean.
  case maxIterations = "max_iter"
  /// Angles and lengths below this tolerance are treated as zero.
  case tolerance = "tol"
  /// The factor of the average so far when the next input is added.
  case decay
  /// Accepted in recipes and ignored: this implementation keeps no masks in memory.
  case int8Mask = "int8_mask"

  /// Whether each input has its own value.
  public var isPerInput: Bool {
    switch self {
    case .weight, .density, .epsilon, .gamma, .scale: true
    default: false
    }
  }

  /// Whether its values are true and false.
  public var isBoolean: Bool {
    switch self {
    case .normalize, .rescale, .filterWise, .rowWise, .flatten, .normalizeWeights, .int8Mask: true
    default: false
    }
  }
}
