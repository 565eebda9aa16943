/// A weight that a state dict holds in parts: what the model uses is computed from several keys.
///
/// A part by itself is no weight. Its numbers must not be merged, cast or left out as if it were
/// one.
public struct DerivedWeight: Sendable, Hashable {
  /// How the model computes the weight from the parts.
  public enum Kind: String, Sendable, Hashable, CaseIterable {
    /// A magnitude and a direction (Salimans and Kingma, 2016).
    case weightNorm = "weight_norm"
    /// A weight and the two singular vectors that tell its largest singular value (Miyato et al.,
    /// 2018).
    case spectralNorm = "spectral_norm"
    /// A weight and a mask of zeros and ones.
    case pruning
    /// Any other `torch.nn.utils.parametrize`, or several after one another.
    case parametrized
    /// Codes of few bits and the scales that make numbers of them.
    case quantized
  }

  /// The operations on the initial value, in order.
  enum Step: Sendable, Hashable {
    /// Its length along a dimension becomes what that key holds.
    case magnitude(String)
    /// It is divided by its largest singular value, to which the vectors of these keys belong.
    case singularValue(u: String, v: String)
    /// It is multiplied with a mask, element by element.
    case mask(String)
  }

  /// How the model computes the weight from the parts.
  public let kind: Kind
  /// The usual name of the scheme, such as "weight norm" or "GPTQ or AWQ".
  public let family: String
  /// The key of the weight in a model that does not split it.
  public let key: String
  /// The keys that it is computed from.
  public let parts: [String]
  /// Why no plain weight can be computed from the parts; nil if one can.
  public let obstacle: String?
  /// Whether parametrizations without tensors of their own might be in the model, since the file
  /// records no modules.
  public let mayHaveMoreSteps: Bool

  /// The part that has the weight's shape; the codes, if these are what it is.
  let start: String
  let steps: [Step]

  init(
    kind: Kind, family: String, key: String, parts: [String], start: String, steps: [Step] = [],
    obstacle: String? = nil, mayHaveMoreSteps: Bool = false
  ) {
    self.kind = kind
    self.family = family
    self.key = key
    self.parts = parts
    self.start = start
    self.steps = steps
    self.obstacle = obstacle
    self.mayHaveMoreSteps = mayHaveMoreSteps
  }

  /// Whether a plain weight can be computed from the parts.
  public var isFoldable: Bool { obstacle == nil }

  /// Whether each part is a parameter that a model learns, so that averages of parts are what
  /// averaging of a model's parameters (`torch.optim.swa_utils.AveragedModel`) gives. Masks,
  /// singular vectors and codes are not.
  public var isLearnedPartwise: Bool {
    switch kind {
    case .weightNorm: true
    case .spectralNorm, .pruning, .quantized: false
    case .parametrized: parts.allSatisfy { $0.contains(".original") }
    }
  }

  /// A line of text with the weight and its parts.
  public var summary: String { "\(key) (\(family): \(parts.joined(separator: ", ")))" }
}

extension StateDict {
  /// The weights that are held in parts, in the order of their first parts.
  ///
  /// Names are those that PyTorch's `torch.nn.utils` writes (`weight_norm`, `spectral_norm`,
  /// `prune`, `parametrize`), and those of the usual quantized formats. Shapes and types decide
  /// where a name could mean something else. Nothing is read.
  public var derivedWeights: [DerivedWeight] {
    var finder = DerivedWeightFinder(self)
    return finder.run()
  }
}
