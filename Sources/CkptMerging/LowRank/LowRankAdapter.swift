public import CkptPlatform
public import CkptStateDicts
internal import CkptTensors
internal import CkptText

/// A LoRA adapter (Hu et al., 2021): pairs of low-rank matrices whose products are added to weights
/// of a base.
///
/// Keys are recognized as written by peft (`base_model.model.M.lora_A.weight`, `lora_B`,
/// `lora_embedding_A`, with or without an adapter's name), by diffusers
/// (`unet.M.lora.down.weight`), and by kohya's scripts (`lora_unet_M.lora_down.weight`, `lora_up`,
/// `alpha`, with the dots of M written as `_`).
public struct LowRankAdapter: Sendable {
  /// The name that errors use for it.
  public let name: String
  /// The configurations by part of a pipeline; the empty name stands for modules without a part.
  private let configurations: [String: Configuration]
  /// The matrices by module.
  private var pairs: ExactDictionary<Pair> = [:]
  /// The modules, in the order in which they first occur.
  private var modules: [String] = []
  /// Full parameters that replace the base's.
  private var replacements: [(key: LowRankKey, tensor: Tensor)] = []
  /// The adapter names that keys contain.
  private var adapterNames: Set<String> = []
  /// What is not supported in the file, one line each.
  private var problems: [String] = []

  /// The tensors of one adapted module.
  private struct Pair {
    /// The matrix of shape [rank, inputs].
    var down: (key: String, tensor: Tensor)?
    /// The matrix of shape [outputs, rank].
    var up: (key: String, tensor: Tensor)?
    /// The vector that is added to the module's bias.
    var bias: (key: String, tensor: Tensor)?
    var alpha: (key: String, tensor: Tensor)?
    var isEmbedding = false
  }

  /// Creates an adapter from a state dict. Unsupported keys are reported when it is merged.
  public init(
    _ stateDict: StateDict, name: String, configuration: Configuration = Configuration()
  ) {
    self.init(stateDict, name: name, configurations: ["": configuration])
  }

  /// Creates an adapter from a state dict for a pipeline with several parts. `configurations` is
  /// keyed by the part's name, which module names start with.
  public init(_ stateDict: StateDict, name: String, configurations: [String: Configuration]) {
    self.name = name
    self.configurations = configurations
    stateDict.forEach { key, value in
      if let tensor = value.tensor {
        add(key, tensor)
      } else {
        problems.append("\(key) is no tensor")
      }
    }
    if adapterNames.count > 1 {
      problems.append("it holds several adapters: " + adapterNames.sorted().joined(separator: ", "))
    }
  }

  /// Adds a tensor of the file by the role of its key.
  private mutating func add(_ written: String, _ tensor: Tensor) {
    let key = LowRankKey(written)
    if let adapter = key.adapter { adapterNames.insert(adapter) }
    switch key.role {
    case .training: return
    case .unsupported(let what):
      problems.append("\(written): \(what) is not supported")
      return
    case .whole, .wrapped, .original:
      replacements.append((key, tensor))
      return
    case .down, .up, .bias, .alpha: break
    }
    if pairs[key.name] == nil { modules.append(key.name) }
    var pair = pairs[key.name] ?? Pair()
    let part: WritableKeyPath<Pair, (key: String, tensor: Tensor)?> =
      switch key.role {
      case .down: \.down
      case .up: \.up
      case .bias: \.bias
      default: \.alpha
      }
    if let first = pair[keyPath: part] {
      problems.append("\(written) and \(first.key) are the same matrix of one module")
    }
    pair[keyPath: part] = (written, tensor)
    pair.isEmbedding = pair.isEmbedding || key.isEmbedding
    pairs[key.name] = pair
  }

  /// Whether merging it subtracts a part of the base's own weights, so that it must be the first of
  /// several adapters.
  public var changesBase: Bool { configurations.values.contains { $0.initialization != .plain } }

  /// The modules whose products have no scale in the file or the configuration; merging them
  /// requires an explicit scale.
  public var modulesWithoutAlpha: [String] {
    modules.filter { module in
      guard let pair = pairs[module], pair.down != nil, pair.up != nil else { return false }
      return pair.alpha == nil && size(of: module).alpha == nil
    }
  }

  /// Unknown fields of the configurations that can be ignored because their values are false or
  /// empty.
  public var unknownFields: [String] {
    configurations.sorted { $0.key < $1.key }.flatMap(\.value.unknownFields)
  }

  /// The configuration for a module, and the module's name without the pipeline's part.
  private func configuration(of module: String) -> (Configuration, name: String) {
    for (part, configuration) in configurations
    where !part.isEmpty && module.hasPrefix(part + ".") {
      return (configuration, String(module.dropFirst(part.count + 1)))
    }
    return (configurations[""] ?? Configuration(), module)
  }

  private func size(of module: String) -> (alpha: Double?, rank: Int?) {
    let (configuration, name) = configuration(of: module)
    return configuration.size(of: name)
  }
}

// MARK: - Merging

extension LowRankAdapter {
  /// Adds several adapters to a base, one after the other.
  ///
  /// The parameters are those of ``merged(into:baseName:scale:keepsNaN:cancellation:)``.
  ///
  /// - Throws: `MergeError.badAdapter` with everything that does not fit, or if an adapter after
  ///   the first changes the base's own weights; `MergeError.noScale`;
  ///   `DerivedWeightError.noNumbers`.
  public static func merge(
    _ adapters: [LowRankAdapter], into base: StateDict, baseName: String, scale: Double? = nil,
    keepsNaN: Bool = false, cancellation: Cancellation = Cancellation()
  ) throws -> StateDictMerge.Result {
    if let late = adapters.dropFirst().first(where: \.changesBase) {
      throw MergeError.badAdapter(
        ["init_lora_weights: it takes a part out of the base's own weights (\(late.name))"],
        hint: "such an adapter comes before the others, and there can be only one")
    }
    var result = StateDictMerge.Result(stateDict: base)
    for adapter in adapters {
      let sum = try adapter.merged(
        into: result.stateDict, baseName: baseName, scale: scale, keepsNaN: keepsNaN,
        cancellation: cancellation)
      result.stateDict = sum.stateDict
      result.tallies += sum.tallies
      result.roundings += sum.roundings
      let known = Set(result.merged)
      result.merged += sum.merged.filter { !known.contains($0) }
    }
    result.brokenTies = base.tiesBroken(in: result.stateDict)
    return result
  }

  /// Adds the adapter's products to the weights of a base.
  ///
  /// - Parameters:
  ///   - base: the state dict to add to.
  ///   - baseName: the base's name in error messages.
  ///   - scale: an additional factor of all products; nil: 1. Required for modules without a scale
  ///     of their own.
  ///   - keepsNaN: whether NaN is added like other numbers instead of being an error.
  ///   - cancellation: cancels computing the changed weights.
  /// - Returns: the base with the changed weights, computed when they are read.
  /// - Throws: `MergeError.badAdapter` with everything that does not fit; `MergeError.noScale`;
  ///   `DerivedWeightError.noNumbers` for weights of the base that are stored in parts.
  public func merged(
    into base: StateDict, baseName: String, scale: Double? = nil, keepsNaN: Bool = false,
    cancellation: Cancellation = Cancellation()
  ) throws -> StateDictMerge.Result {
    var sums = LowRankSums(
      base: base, baseName: baseName, adapterName: name,
      context: MergeContext(keepsNaN: keepsNaN, cancellation: cancellation))
    sums.problems = problems
    for (key, tensor) in replacements where key.role != .original {
      try sums.replace(key.name, by: tensor, andTied: key.role == .wrapped)
    }
    let whole = Set(replacements.filter { $0.key.role == .whole }.map(\.key.name))
    for (key, _) in replacements where key.role == .original && !whole.contains(key.name) {
      sums.problems.append(
        "\(key.name): the file has what the module was before it was trained, and not what it became"
      )
    }
    let without = Set(modulesWithoutAlpha)
    for module in modules {
      guard let pair = pairs[module], let down = pair.down, let up = pair.up else {
        sums.problems.append("\(module): one of the two matrices is missing")
        continue
      }
      do {
        try add(module, pair, down, up, scale ?? 1, to: &sums)
      } catch let problem as Misfit {
        sums.problems.append("\(module): \(problem.text)")
      }
    }
    if modules.isEmpty && replacements.isEmpty && sums.problems.isEmpty {
      sums.problems = ["it holds no adapter's weights"]
    }
    let matched = modules.filter { pairs[$0]?.up != nil }
    if !without.isEmpty, without.count < matched.count {
      sums.problems += modules.filter(without.contains).map { "\($0) has no alpha; others have" }
    }
    try sums.checkParts()
    guard sums.problems.isEmpty else {
      throw MergeError.badAdapter(
        sums.problems, hint: "an adapter is merged into the model that it was trained on (\(name))")
    }
    if scale == nil, !without.isEmpty {
      throw MergeError.noScale(adapter: name, modules: modules.filter(without.contains))
    }
    var result = try sums.result()
    result.brokenTies = base.tiesBroken(in: result.stateDict)
    return result
  }

  /// Adds the products of one module to `sums`.
  private func add(
    _ module: String, _ pair: Pair, _ down: (key: String, tensor: Tensor),
    _ up: (key: String, tensor: Tensor), _ factor: Double, to sums: inout LowRankSums
  ) throws {
    let (configuration, name) = configuration(of: module)
    if let field = try configuration.targets.fieldWithout(name) {
      throw Misfit(text: "\(field) leaves the module out, whose matrices are in the file")
    }
    let key = try sums.key(of: module)
    guard let weight = sums.base[key] else { return }
    let found = down.tensor.shape.first ?? 0
    let size = configuration.size(of: name)
    var rank = size.rank ?? found
    // peft's initialization limits the rank to the weight's dimensions.
    if configuration.initialization != .plain, weight.shape.count == 2 {
      rank = min(rank, weight.shape[0], weight.shape[1])
    }
    guard rank == found else {
      throw Misfit(text: "matrices of rank \(found), where r or rank_pattern says \(rank)")
    }
    let own = try ownScale(pair, size.alpha, rank: size.rank ?? found, configuration)
    let product = try LowRankProduct(
      weight: weight, at: key, down: down.tensor, up: up.tensor, isEmbedding: pair.isEmbedding,
      flag: configuration.isTransposed, orientation: sums.orientation, scale: factor * (own ?? 1))
    var change: BaseChange?
    if configuration.initialization != .plain {
      change = try self.change(
        configuration.initialization, weight, key, rank: rank, scale: own,
        isEmbedding: pair.isEmbedding)
    }
    sums.add(
      product, to: key, of: module, change: change,
      inputs: [(down.key, down.tensor), (up.key, up.tensor)])
    guard let bias = pair.bias else { return }
    guard configuration.hasBiases != false else {
      throw Misfit(text: "lora_bias says that it has no bias, but \(bias.key) is in the file")
    }
    try sums.addBias(
      LowRankProduct(bias: bias.tensor, scale: factor * (own ?? 1)), beside: key,
      inputs: [(bias.key, bias.tensor)])
  }

  /// The adapter's own scale for a module; nil if there is no alpha.
  private func ownScale(
    _ pair: Pair, _ configured: Double?, rank: Int, _ configuration: Configuration
  ) throws -> Double? {
    var alpha = configured
    if let tensor = pair.alpha?.tensor {
      guard tensor.elementCount == 1, !tensor.isMeta else {
        throw Misfit(text: "alpha is no number")
      }
      var value = [Double](repeating: 0, count: 1)
      try tensor.makeElementReader().read(into: &value)
      if let configured, configured != value[0] {
        throw Misfit(text: "alpha is \(value[0]) in the file, and lora_alpha \(configured)")
      }
      alpha = value[0]
    }
    guard let alpha else { return nil }
    guard alpha.isFinite, rank > 0 else { throw Misfit(text: "alpha is no number") }
    return alpha / (configuration.usesRootOfRank ? Double(rank).squareRoot() : Double(rank))
  }

  /// The part that initialization subtracts from a weight.
  ///
  /// - Throws: `Misfit` if peft could not initialize such a weight so.
  private func change(
    _ initialization: Configuration.Initialization, _ weight: Tensor, _ key: String, rank: Int,
    scale: Double?, isEmbedding: Bool
  ) throws -> BaseChange {
    guard weight.shape.count == 2, !isEmbedding else {
      throw Misfit(text: "init_lora_weights: peft begins so with weights of linear modules alone")
    }
    guard [.float32, .float16, .bfloat16].contains(weight.dtype) else {
      throw Misfit(
        text: "init_lora_weights: peft takes a part out of weights of float32, float16 and "
          + "bfloat16, not \(weight.dtype.name)")
    }
    guard let scale else { throw Misfit(text: "init_lora_weights needs lora_alpha") }
    return BaseChange(
      kind: initialization == .principal ? .principal : .triangular, weight: weight, rank: rank,
      scale: scale, key: key)
  }
}
