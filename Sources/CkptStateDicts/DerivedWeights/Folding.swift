internal import CkptBytes
internal import CkptText
internal import OrderedCollections
internal import CkptPlatform
public import CkptTensors

/// The changes of ``StateDict/folding(_:)``.
public struct FoldReport: Sendable {
  /// The weights that were replaced by plain ones.
  public internal(set) var folded: [DerivedWeight] = []
  /// The weights that are still stored in parts: they were not selected, or are quantized codes.
  public internal(set) var left: [DerivedWeight] = []
}

extension StateDict {
  /// So many forms of the same weight are undone one after another, such as a pruned direction of a
  /// weight norm.
  private static let roundLimit = 8

  /// The state dict with plain weights in the place of those that are held in parts, as PyTorch's
  /// own removal leaves them: `remove_weight_norm`, `remove_spectral_norm`, `prune.remove`,
  /// `remove_parametrizations`.
  ///
  /// The weights are computed when they are read. Where the file does not tell a spectral norm's
  /// dimension, the weight is read now to find it. A weight takes the place of its first part, or,
  /// in a parametrization, comes behind the module's own tensors; modules that are gone lose their
  /// entries in `_metadata`.
  /// - Parameter isIncluded: which weights are folded: its plain name, and the part that has its
  ///   shape.
  /// - Throws: `DerivedWeightError.cannotFold` with all chosen weights that cannot be computed;
  ///   what reading throws.
  public func folding(
    where isIncluded: (_ key: String, _ start: Tensor) throws -> Bool = { _, _ in true }
  ) throws -> (stateDict: StateDict, report: FoldReport) {
    var result = self
    var report = FoldReport()
    for _ in 0..<Self.roundLimit {
      let all = result.derivedWeights
      let chosen = try all.filter { weight in
        guard weight.kind != .quantized, let start = result[weight.start] else { return false }
        return try isIncluded(weight.key, start)
      }
      let keys = Set(chosen.map { ExactText($0.key) })
      report.left = all.filter { !keys.contains(ExactText($0.key)) }
      if chosen.isEmpty { break }
      result = try result.folding(chosen)
      report.add(chosen)
    }
    return (result, report)
  }

  /// The weights that could be folded, each under its plain name with the part that has its shape.
  public var foldableStarts: StateDict {
    var result = StateDict()
    for weight in derivedWeights where weight.kind != .quantized {
      if let start = self[weight.start] { result[weight.key] = start }
    }
    return result
  }

  private func folding(_ weights: [DerivedWeight]) throws -> StateDict {
    var plain: [ExactText: Tensor] = [:]
    var known: [[TensorView]: [(kind: DerivedWeight.Kind, tensor: Tensor)]] = [:]
    var refused: [DerivedWeight] = []
    for weight in weights {
      // Weights whose parts are all tied are one weight.
      let views = weight.parts.compactMap { self[$0].map { TensorView($0) } }
      if let tied = known[views]?.first(where: { $0.kind == weight.kind }) {
        plain[ExactText(weight.key)] = tied.tensor
        continue
      }
      do {
        let tensor = try folded(weight)
        plain[ExactText(weight.key)] = tensor
        known[views, default: []].append((weight.kind, tensor))
      } catch let obstacle as Obstacle {
        refused.append(weight.refused(obstacle.text))
      }
    }
    guard refused.isEmpty else { throw DerivedWeightError.cannotFold(refused) }
    return replacing(weights, with: plain)
  }

  private struct Obstacle: Error {
    let text: String
  }

  /// The plain weight.
  private func folded(_ weight: DerivedWeight) throws -> Tensor {
    if let text = weight.obstacle { throw Obstacle(text: text) }
    let start = try operand(weight.start)
    var tensor = start
    for step in weight.steps {
      let rule: FoldedBytes.Rule
      switch step {
      case .mask(let key):
        // `prune.remove` casts the mask to the weight's type first (`apply_mask`).
        rule = .mask(try operand(key).converting(to: tensor.dtype))
      case .magnitude(let key): rule = try Self.lengthRule(of: tensor, try operand(key))
      case .singularValue(let u, let v):
        let norm = SpectralNorm(weight: tensor, u: try operand(u), v: try operand(v))
        guard let dimension = try norm.dimension() else {
          throw Obstacle(
            text:
              "neither shapes nor singular vectors tell which dimension of \(tensor.shape) it is")
        }
        rule = .divided(by: FoldFactors { [try norm.sigma(dimension)] })
      }
      tensor = try Tensor(
        storage: Storage(.computed(try FoldedBytes(tensor, rule)), name: weight.key),
        dtype: tensor.dtype, shape: tensor.shape)
    }
    tensor.requiresGrad = start.requiresGrad
    tensor.isParameter = start.isParameter
    return tensor
  }

  private func operand(_ key: String) throws -> Tensor {
    guard let tensor = self[key] else { throw Obstacle(text: "\(key) is no plain tensor") }
    if let text = StepShapes.elementsObstacle(tensor) { throw Obstacle(text: text) }
    return tensor
  }

  /// How `torch._weight_norm` makes lengths of directions.
  ///
  /// Along the first or the last dimension one kernel does it, which keeps lengths and quotients in
  /// 32 bits for 16-bit elements; in all other cases, and for float16, each step is rounded to the
  /// elements' type.
  private static func lengthRule(of direction: Tensor, _ g: Tensor) throws -> FoldedBytes.Rule {
    guard let dimension = StepShapes.normDimension(g: g.shape, v: direction.shape) else {
      throw Obstacle(text: "lengths of shape \(g.shape) for directions of \(direction.shape)")
    }
    var (axis, isOuter) = (Int?.none, false)
    if case .one(let index) = dimension {
      (axis, isOuter) = (index, index == 0 || index == direction.shape.count - 1)
    }
    let type = direction.dtype
    let between: DType = type == .bfloat16 && isOuter ? .float32 : type
    let rows = try WeightRows(direction, along: axis)
    let factors = FoldFactors {
      let lengths = try between.rounded(try rows.lengths())
      return try between.rounded(zip(try g.numbers(), lengths).map { $0 / $1 })
    }
    let inner = axis.map { direction.shape[($0 + 1)...].reduce(1, *) } ?? direction.elementCount
    return .scaled(by: factors, count: rows.count, inner: Swift.max(inner, 1))
  }

  /// The weights in their places, and their parts gone.
  private func replacing(_ weights: [DerivedWeight], with plain: [ExactText: Tensor]) -> StateDict {
    var removed = Set<ExactText>()
    var atPart: [ExactText: [String]] = [:]
    for weight in weights {
      for part in weight.parts { removed.insert(ExactText(part)) }
      if let first = firstPart(weight) {
        atPart[ExactText(first), default: []].append(weight.key)
      }
    }
    // Which of a module's own keys comes last: a parameter that `parametrize` gives back follows
    // it.
    var behind: [ExactText: [String]] = [:]
    var lastOwn: [ExactText: ExactText] = [:]
    for key in entries.keys where !removed.contains(key) { lastOwn[key.module] = key }
    for (part, keys) in atPart where part.module.text.contains("parametrizations.") {
      for key in keys {
        if let last = lastOwn[ExactText(key).module] {
          behind[last, default: []].append(key)
          atPart[part]?.removeAll { $0 == key }
        }
      }
    }
    let order = Dictionary(
      weights.enumerated().map { ($1.key, $0) }, uniquingKeysWith: { first, _ in first })
    var result = self
    for weight in weights { result[weight.key] = plain[ExactText(weight.key)] }
    // Updates the modules' entries in `_metadata`.
    result = result.filter { key, _ in !removed.contains(ExactText(key)) }
    var ordered: OrderedDictionary<ExactText, Value> = [:]
    for (key, value) in entries {
      if !removed.contains(key) { ordered[key] = value }
      let here = (atPart[key] ?? []) + (behind[key] ?? [])
      for name in here.sorted(by: { order[$0] ?? 0 < order[$1] ?? 0 }) {
        if let tensor = plain[ExactText(name)] { ordered[ExactText(name)] = .tensor(tensor) }
      }
    }
    result.entries = ordered
    return result
  }

  /// Which of a weight's parts comes first.
  private func firstPart(_ weight: DerivedWeight) -> String? {
    weight.parts.min { left, right in
      (entries.index(forKey: ExactText(left)) ?? 0) < (entries.index(forKey: ExactText(right)) ?? 0)
    }
  }
}

extension DerivedWeight {
  /// The same, with why it cannot be computed.
  fileprivate func refused(_ obstacle: String) -> DerivedWeight {
    DerivedWeight(
      kind: kind, family: family, key: key, parts: parts, start: start, steps: steps,
      obstacle: obstacle)
  }
}

extension FoldReport {
  /// Adds what was folded; a weight that was a part of another one counts as its parts.
  fileprivate mutating func add(_ weights: [DerivedWeight]) {
    for weight in weights {
      let inner = folded.filter { weight.parts.contains($0.key) }
      guard !inner.isEmpty else {
        folded.append(weight)
        continue
      }
      folded.removeAll { one in inner.contains { $0.key == one.key } }
      let own = weight.parts.filter { part in !inner.contains { $0.key == part } }
      folded.append(
        DerivedWeight(
          kind: .parametrized,
          family: (inner.map(\.family) + [weight.family]).joined(separator: ", then "),
          key: weight.key, parts: inner.flatMap(\.parts) + own, start: weight.start,
          steps: weight.steps))
    }
  }
}
