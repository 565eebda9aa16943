/// A way to make one tensor of several; the names are mergekit's, with `-` for `_`.
public enum MergeMethod: String, Sendable, CaseIterable {
  /// The weighted average, or sum.
  case linear
  /// Spherical interpolation of two.
  case slerp
  /// Spherical interpolation of two, or of two task vectors; whole, by rows or by columns.
  case nuslerp
  /// Spherical interpolation of any number.
  case multislerp
  /// The mean on the sphere.
  case karcher
  /// The weighted sum of task vectors.
  case taskArithmetic = "task-arithmetic"
  /// Task vectors trimmed to their largest elements, with an election of signs.
  case ties
  /// Task vectors of which a part is dropped by chance.
  case dareLinear = "dare-linear"
  /// The same with an election of signs.
  case dareTies = "dare-ties"
  /// Task vectors of which a part is dropped by chance, the smaller the likelier, with an election of signs.
  case della
  /// The same without an election.
  case dellaLinear = "della-linear"
  /// Task vectors without their smallest and very largest elements.
  case breadcrumbs
  /// The same with an election of signs.
  case breadcrumbsTies = "breadcrumbs-ties"
  /// Select, calculate, erase.
  case sce
  /// From the base towards the average, as far as the angles say.
  case modelStock = "model-stock"
  /// Near elements are swapped, others moved by a little.
  case nearswap
  /// The elements that matter most are taken over.
  case arceeFusion = "arcee-fusion"
  /// One input, scaled or as it is.
  case passthrough
  /// The exponential moving average over the inputs in their order.
  case ema
  /// Stochastic weight averaging: the plain average of the inputs.
  case swa

  /// The method of that name, written with `-` or `_`.
  public init?(name: String) {
    self.init(rawValue: String(name.map { $0 == "_" ? "-" : $0 }))
  }

  /// The name, written with `-`.
  public var name: String { rawValue }

  /// Whether one of the inputs is the base that the others are differences to.
  public enum BaseUse: Sendable {
    /// A base is needed.
    case required
    /// It makes a difference whether there is one.
    case optional
    /// A base is an input like the others.
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

  /// How many inputs it takes, the base included where one is needed, not where it is optional.
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

  /// Whether its result depends on a seed.
  public var isRandom: Bool {
    switch self {
    case .dareLinear, .dareTies, .della, .dellaLinear: true
    default: false
    }
  }
}

/// A parameter of merge methods; the names are mergekit's.
public enum MergeParameter: String, Sendable, CaseIterable {
  /// How much an input counts.
  case weight
  /// The part of a task vector that is kept.
  case density
  /// How far to go from the base to the other.
  case t
  /// By how much the probabilities of the smallest and largest differ from the density.
  case epsilon
  /// The part of a task vector that is dropped for being too large.
  case gamma
  /// What the merged task vector is multiplied with.
  case lambda
  /// Whether the sum is divided by the weights.
  case normalize
  /// Whether what is kept of a task vector is scaled up to the size of the whole.
  case rescale
  /// What the one input is multiplied with.
  case scale
  /// The part of the varying elements that is selected.
  case selectTopK = "select_topk"
  /// Whether each row is a vector of its own.
  case filterWise = "filter_wise"
  /// Whether, when not flattened, dimension 0 makes the vectors instead of the last.
  case rowWise = "nuslerp_row_wise"
  /// Whether the whole tensor is one vector.
  case flatten = "nuslerp_flatten"
  /// Whether the weights are divided by their sum.
  case normalizeWeights = "normalize_weights"
  /// How often the mean is moved at most.
  case maxIterations = "max_iter"
  /// Angles and lengths below this count as none.
  case tolerance = "tol"
  /// How much of the average so far stays when the next comes.
  case decay
  /// Accepted from recipes, and without effect: no masks are kept in memory here.
  case int8Mask = "int8_mask"

  /// Whether each input has a value of its own.
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
