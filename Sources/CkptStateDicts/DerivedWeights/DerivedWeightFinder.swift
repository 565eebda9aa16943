internal import CkptText
internal import OrderedCollections
internal import CkptTensors

/// Finds the weights that a state dict holds in parts.
struct DerivedWeightFinder {
  let stateDict: StateDict
  private var used = Set<ExactText>()
  private var found: [(position: Int, weight: DerivedWeight)] = []
  private let positions: [ExactText: Int]

  init(_ stateDict: StateDict) {
    self.stateDict = stateDict
    positions = Dictionary(
      stateDict.entries.keys.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
  }

  mutating func run() -> [DerivedWeight] {
    for weight in ParametrizedWeights(stateDict).weights { add(weight) }
    // `P_v` is spectral norm's if there is a `P_orig`, so that comes first.
    for key in stateDict.entries.keys { addOriginal(key.text) }
    for key in stateDict.entries.keys { addWeightNorm(key.text) }
    for weight in QuantizedWeights(stateDict).weights { add(weight) }
    return found.sorted { $0.position < $1.position }.map(\.weight)
  }

  private mutating func add(_ weight: DerivedWeight) {
    guard !weight.parts.contains(where: { used.contains(ExactText($0)) }) else { return }
    let parts = weight.parts.compactMap { positions[ExactText($0)] }
    for part in weight.parts { used.insert(ExactText(part)) }
    found.append((parts.min() ?? 0, weight))
  }

  /// `P_orig` with `P_mask` (`torch.nn.utils.prune`), or with `P_u` and `P_v`
  /// (`torch.nn.utils.spectral_norm`).
  private mutating func addOriginal(_ key: String) {
    guard key.hasSuffix("_orig"), let original = stateDict[key] else { return }
    let plain = String(key.dropLast("_orig".count))
    // PyTorch 0.4 kept the weight itself beside its parts.
    guard !plain.isEmpty, !plain.hasSuffix("."), stateDict.value(for: plain) == nil else { return }
    let mask = stateDict[plain + "_mask"]
    let vectors = [plain + "_u", plain + "_v"].filter { stateDict[$0] != nil }
    if let mask, !vectors.isEmpty {
      return add(
        DerivedWeight(
          kind: .parametrized, family: "pruning and spectral norm", key: plain,
          parts: [key, plain + "_mask"] + vectors, start: key,
          obstacle: "a mask and singular vectors of one name do not tell which comes first"
            + (mask.shape == original.shape ? "" : ", and the mask has another shape")))
    }
    if let mask {
      add(
        DerivedWeight(
          kind: .pruning, family: "pruning", key: plain, parts: [key, plain + "_mask"], start: key,
          steps: [.mask(plain + "_mask")],
          obstacle: StepShapes.obstacle(mask: mask, of: original.shape, original.dtype)))
    } else if vectors.count == 2, let u = stateDict[vectors[0]], let v = stateDict[vectors[1]] {
      add(
        DerivedWeight(
          kind: .spectralNorm, family: "spectral norm", key: plain, parts: [key] + vectors,
          start: key, steps: [.singularValue(u: vectors[0], v: vectors[1])],
          obstacle: StepShapes.obstacle(u: u, v: v, of: original.shape, original.dtype)))
    }
  }

  /// `P_g` and `P_v` (`torch.nn.utils.weight_norm`), if their shapes are a norm's and its tensor's.
  private mutating func addWeightNorm(_ key: String) {
    guard key.hasSuffix("_g"), let g = stateDict[key] else { return }
    let plain = String(key.dropLast("_g".count))
    guard !plain.isEmpty, !plain.hasSuffix("."), stateDict.value(for: plain) == nil,
      let v = stateDict[plain + "_v"], g.dtype.isFloat, v.dtype.isFloat,
      StepShapes.normDimension(g: g.shape, v: v.shape) != nil
    else { return }
    let name = plain.split(separator: ".").last ?? ""
    // Two vectors of one length are a norm and its vector only where that is what the name says.
    if v.shape.count < 2, !g.shape.isEmpty, !name.hasPrefix("weight"), !name.hasPrefix("bias") {
      return
    }
    add(
      DerivedWeight(
        kind: .weightNorm, family: "weight norm", key: plain, parts: [key, plain + "_v"],
        start: plain + "_v", steps: [.magnitude(key)],
        obstacle: StepShapes.obstacle(magnitude: g, of: v.shape, v.dtype)))
  }
}

/// Which shapes and types the parts of a weight may have.
enum StepShapes {
  /// The types that PyTorch computes with here on a CPU.
  static let types: Set<DType> = [.float64, .float32, .float16, .bfloat16]

  /// The dimensions along which `g` tells lengths of `v`: nil if the shapes do not fit each other.
  enum Dimension: Equatable {
    /// One length for all elements (`dim=None`).
    case all
    /// A length for each index of a dimension.
    case one(Int)
  }

  /// Which dimension a norm was kept in (`torch.norm_except_dim`); the shape tells.
  static func normDimension(g: [Int], v: [Int]) -> Dimension? {
    guard !v.isEmpty else { return nil }
    if g.isEmpty { return .all }
    guard g.count == v.count else { return nil }
    let wide = g.indices.filter { g[$0] != 1 }
    if wide.isEmpty {
      // Any dimension of one index gives the same numbers; PyTorch computes the outer ones in
      // another way.
      let candidates = v.indices.filter { v[$0] == 1 }
      guard let first = candidates.first else { return nil }
      return .one(candidates.last == v.count - 1 && first != 0 ? v.count - 1 : first)
    }
    return wide.count == 1 && g[wide[0]] == v[wide[0]] ? .one(wide[0]) : nil
  }

  /// The dimensions of which a weight of that shape may be taken for a matrix with singular vectors
  /// so long.
  static func spectralDimensions(u: Int, v: Int, of shape: [Int]) -> [Int] {
    shape.indices.filter { dimension in
      shape[dimension] == u
        && shape.indices.reduce(1, { $1 == dimension ? $0 : $0 &* shape[$1] }) == v
    }
  }

  static func obstacle(magnitude g: Tensor, of shape: [Int], _ type: DType) -> String? {
    if normDimension(g: g.shape, v: shape) == nil {
      return "lengths of shape \(g.shape) for directions of shape \(shape)"
    }
    return obstacle(type: type, g)
  }

  static func obstacle(u: Tensor, v: Tensor, of shape: [Int], _ type: DType) -> String? {
    guard u.shape.count == 1, v.shape.count == 1,
      !spectralDimensions(u: u.shape[0], v: v.shape[0], of: shape).isEmpty
    else { return "singular vectors of shapes \(u.shape) and \(v.shape) for a weight of \(shape)" }
    return obstacle(type: type, u) ?? obstacle(type: type, v)
  }

  static func obstacle(mask: Tensor, of shape: [Int], _ type: DType) -> String? {
    guard mask.shape == shape else { return "a mask of shape \(mask.shape) for \(shape)" }
    guard types.contains(type) else { return "elements of type \(type.name)" }
    guard ElementConversion.isSupported(from: mask.dtype, to: type),
      !mask.dtype.isComplex
    else { return "a mask of type \(mask.dtype.name)" }
    return elementsObstacle(mask)
  }

  private static func obstacle(type: DType, _ part: Tensor) -> String? {
    guard types.contains(type) else { return "elements of type \(type.name)" }
    guard part.dtype == type else {
      return "parts of types \(type.name) and \(part.dtype.name)"
    }
    return elementsObstacle(part)
  }

  /// The reason why a tensor cannot be computed with: it has no elements in the file, or is an
  /// expanded view; nil if it can.
  static func elementsObstacle(_ part: Tensor) -> String? {
    if part.isMeta { return "a part is on the meta device" }
    return part.byteCount > part.storage.byteCount ? "a part is an expanded view" : nil
  }
}
