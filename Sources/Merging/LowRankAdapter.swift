public import Platform
public import StateDicts
internal import TensorStore

/// A LoRA adapter (Hu et al., 2021): pairs of thin matrices whose product is added to weights of a base.
///
/// Keys are understood as peft writes them (`base_model.model.M.lora_A.weight`, `lora_B`, `lora_embedding_A`, with or
/// without an adapter's name) and as kohya's scripts do (`lora_unet_M.lora_down.weight`, `lora_up`, `alpha`, the dots
/// of M written as `_`).
public struct LowRankAdapter: Sendable {
  /// What an adapter's configuration says about the size of its products; peft keeps it beside the weights.
  public struct Configuration: Sendable {
    /// The numerator of the scale, `lora_alpha`; nil: the scale is 1.
    public var alpha: Double?
    /// Whether alpha is divided by the root of the rank instead of the rank, `use_rslora`.
    public var usesRootOfRank = false
    /// Whether weights are stored with inputs before outputs, `fan_in_fan_out`.
    public var isTransposed = false
    /// Other values of alpha for modules whose names end so, `alpha_pattern`.
    public var alphaByModule: [String: Double] = [:]

    /// Nothing is known: the scale is 1.
    public init() {}
  }

  /// What errors call it.
  public let name: String
  private let configuration: Configuration
  private var pairs: [String: Pair] = [:]
  /// The modules in the order in which they occur.
  private var modules: [String] = []
  /// Whole tensors that take the place of the base's.
  private var replacements: [(key: String, tensor: Tensor)] = []
  private var problems: [String] = []

  private struct Pair {
    /// Of rank by inputs.
    var down: (key: String, tensor: Tensor)?
    /// Of outputs by rank.
    var up: (key: String, tensor: Tensor)?
    var alpha: Tensor?
    var isEmbedding = false
  }

  /// The adapter that a state dict holds.
  public init(
    _ stateDict: StateDict, name: String, configuration: Configuration = Configuration()
  ) {
    self.name = name
    self.configuration = configuration
    for (key, tensor) in stateDict.tensors { add(key, tensor) }
  }

  private mutating func add(_ key: String, _ tensor: Tensor) {
    var parts = key.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    let markers = [
      "lora_A", "lora_B", "lora_down", "lora_up", "lora_embedding_A", "lora_embedding_B",
    ]
    if let place = parts.lastIndex(where: markers.contains) {
      if parts.last == "bias" {
        problems.append("\(key): a bias of the adapter's own is not supported")
        return
      }
      let module = parts[..<place].joined(separator: ".")
      if pairs[module] == nil { modules.append(module) }
      var pair = pairs[module] ?? Pair()
      let marker = parts[place]
      pair.isEmbedding = marker.contains("embedding")
      if marker.hasSuffix("A") || marker == "lora_down" {
        if pair.down != nil { problems.append("\(key): a second adapter in the same file") }
        pair.down = (key, tensor)
      } else {
        pair.up = (key, tensor)
      }
      pairs[module] = pair
      return
    }
    if parts.last == "alpha" {
      parts.removeLast()
      let module = parts.joined(separator: ".")
      if pairs[module] == nil { modules.append(module) }
      pairs[module, default: Pair()].alpha = tensor
      return
    }
    if parts.contains(where: {
      $0.hasPrefix("lora_") && !$0.hasPrefix("lora_unet")
        && !$0.hasPrefix("lora_te")
    }) || parts.contains("dora_scale")
      || parts.contains(where: { $0.hasPrefix("hada_") || $0.hasPrefix("lokr_") })
    {
      problems.append("\(key): this kind of adapter is not supported")
      return
    }
    // peft's modules_to_save: the whole weight, as it was trained.
    parts.removeAll { $0 == "modules_to_save" }
    replacements.append((parts.joined(separator: "."), tensor))
  }

  /// Adds the adapter's products to the weights of a base.
  ///
  /// - Parameters:
  ///   - scale: what the products are multiplied with, beside the adapter's own scale.
  ///   - keepsNaN: whether NaN is added like a number instead of being an error.
  /// - Returns: the base with the changed weights in their places, computed when they are read.
  /// - Throws: `MergeError.badAdapter` with everything that does not fit.
  public func merged(
    into base: StateDict, baseName: String, scale: Double = 1, keepsNaN: Bool = false,
    cancellation: Cancellation = Cancellation()
  ) throws -> StateDictMerge.Result {
    var result = StateDictMerge.Result(stateDict: base)
    var problems = self.problems
    let names = ModuleNames(base.keys)
    let context = MergeContext(keepsNaN: keepsNaN, cancellation: cancellation)
    for module in modules {
      guard let pair = pairs[module], let down = pair.down, let up = pair.up else {
        problems.append("\(module): one of the two matrices is missing")
        continue
      }
      let found = names.keys(of: module)
      guard found.count == 1, let key = found.first, let weight = base[key] else {
        problems.append(
          found.isEmpty
            ? "\(module) is no module of the base"
            : "\(module) may be any of \(found.joined(separator: ", "))")
        continue
      }
      do {
        let size = try self.scale(of: pair, module: module, rank: down.tensor.shape.first ?? 1)
        let tensor = try sum(
          weight, pair, down.tensor, up.tensor, scale * size, context: context)
        for (name, file, tensor) in [
          (key, baseName, weight), (down.key, self.name, down.tensor),
          (up.key, self.name, up.tensor),
        ] {
          context.add(key: name, input: file, tensor)
        }
        result.stateDict[key] = tensor
        result.merged.append(key)
      } catch let problem as Misfit {
        problems.append("\(module): \(problem.text)")
      }
    }
    for (key, tensor) in replacements {
      let found = names.keys(ofParameter: key)
      guard found.count == 1, let target = found.first, let old = base[target],
        old.shape == tensor.shape
      else {
        problems.append("\(key) takes no parameter's place in the base")
        continue
      }
      result.stateDict[target] = try tensor.converting(to: old.elementType)
      result.merged.append(target)
    }
    if result.merged.isEmpty && problems.isEmpty { problems = ["it holds no adapter's weights"] }
    guard problems.isEmpty else {
      throw MergeError.badAdapter(
        problems, hint: "an adapter is merged into the model that it was trained on (\(name))")
    }
    result.brokenTies = base.tiesBroken(in: result.stateDict)
    return result
  }

  private struct Misfit: Error {
    let text: String
  }

  private func scale(of pair: Pair, module: String, rank: Int) throws -> Double {
    var alpha = configuration.alpha
    if let own = configuration.alphaByModule.first(where: {
      module == $0.key || module.hasSuffix("." + $0.key)
    }) {
      alpha = own.value
    }
    if let tensor = pair.alpha {
      guard tensor.elementCount == 1, !tensor.isMeta else {
        throw Misfit(text: "alpha is no number")
      }
      var value = [Double](repeating: 0, count: 1)
      try value.withUnsafeMutableBufferPointer { try tensor.makeElementReader().read(into: $0) }
      alpha = value[0]
    }
    guard let alpha else { return 1 }
    guard alpha.isFinite, rank > 0 else { throw Misfit(text: "alpha is no number") }
    return alpha / (configuration.usesRootOfRank ? Double(rank).squareRoot() : Double(rank))
  }

  /// The weight with the product added.
  private func sum(
    _ weight: Tensor, _ pair: Pair, _ down: Tensor, _ up: Tensor, _ scale: Double,
    context: MergeContext
  ) throws -> Tensor {
    for tensor in [weight, down, up] {
      guard tensor.elementType.isFloat, !tensor.elementType.isComplex, !tensor.isMeta,
        !tensor.shape.contains(0), tensor.shape.count >= 2
      else { throw Misfit(text: "a matrix is no tensor of floats with two dimensions or more") }
    }
    let rank = down.shape[0]
    guard up.shape[1] == rank, up.shape.dropFirst(2).allSatisfy({ $0 == 1 }) else {
      throw Misfit(text: "matrices of shapes \(up.shape) and \(down.shape) have no product")
    }
    let columns = down.elementCount / rank
    // A kernel of one element each is no kernel; others must be those of the weight.
    var right = try matrix(down, [rank, columns])
    var left = try matrix(up, [up.shape[0], rank])
    let rows = weight.shape[0]
    let fits =
      up.shape[0] == rows && columns == weight.elementCount / rows
      && (down.shape.count <= 2 || Array(down.shape.dropFirst()) == Array(weight.shape.dropFirst())
        || down.shape.dropFirst(2).allSatisfy { $0 == 1 })
    let fitsTurned = weight.shape.count == 2 && weight.shape == [columns, up.shape[0]]
    if fitsTurned && (pair.isEmbedding || configuration.isTransposed || !fits) {
      (left, right) = (try transposed(right), try transposed(left))
    } else if !fits {
      throw Misfit(text: "a product of shape [\(up.shape[0]), \(columns)] for \(weight.shape)")
    }
    guard right.elementCount <= LowRankBytes.largestRight else {
      throw Misfit(
        text: "a matrix of \(right.elementCount) elements; at most \(LowRankBytes.largestRight) "
          + "are supported")
    }
    let bytes = try LowRankBytes(
      base: weight, left: left, right: right, scale: scale, context: context)
    var tensor = try Tensor(
      storage: Storage(.computed(bytes)), elementType: weight.elementType, shape: weight.shape)
    tensor.requiresGrad = weight.requiresGrad
    tensor.isParameter = weight.isParameter
    return tensor
  }

  private func matrix(_ tensor: Tensor, _ shape: [Int]) throws -> Tensor {
    if tensor.shape == shape { return tensor }
    // Of a tensor with more dimensions the elements are read in order.
    let source = Storage(try tensor.contiguousSource(), name: tensor.storage.name)
    return try Tensor(storage: source, elementType: tensor.elementType, shape: shape)
  }

  private func transposed(_ tensor: Tensor) throws -> Tensor {
    try Tensor(
      storage: tensor.storage, elementType: tensor.elementType, shape: tensor.shape.reversed(),
      strides: tensor.strides.reversed(), offset: tensor.offset)
  }
}

/// Finds what a module of an adapter is called in a base.
private struct ModuleNames {
  /// The keys by each of their tails: `a.b.weight` by itself, `b.weight` and `weight`.
  private var byTail: [String: [String]] = [:]
  /// The keys of weights by each tail of their module's name, with `_` for each dot.
  private var flat: [String: [String]] = [:]

  init(_ keys: [String]) {
    for key in keys {
      // No model nests its modules deeper, and a key of dots alone must not fill the memory.
      let dots = key.indices.filter { key[$0] == "." }.suffix(32)
      for tail in [key[...]] + dots.map({ key[key.index(after: $0)...] }) {
        byTail[String(tail), default: []].append(key)
        guard tail.hasSuffix(".weight") else { continue }
        let module = tail.dropLast(".weight".count).map { $0 == "." ? "_" : $0 }
        flat[String(module), default: []].append(key)
      }
    }
  }

  /// The keys of the weight that a module may mean.
  func keys(of module: String) -> [String] {
    let name = Self.withoutWrapper(module)
    let prefixes = [
      "lora_unet_", "lora_te1_", "lora_te2_", "lora_te3_", "lora_te_", "lora_transformer_",
    ]
    for prefix in prefixes where name.hasPrefix(prefix) {
      return flat[String(name.dropFirst(prefix.count))] ?? []
    }
    return keys(ofParameter: name + ".weight")
  }

  /// The keys that a parameter's name may mean: itself, or else those that end so.
  func keys(ofParameter written: String) -> [String] {
    let name = Self.withoutWrapper(written)
    let found = byTail[name] ?? []
    return found.contains(name) ? [name] : found
  }

  /// The name without what peft puts before it.
  private static func withoutWrapper(_ name: String) -> String {
    for prefix in ["base_model.model.", "base_model."] where name.hasPrefix(prefix) {
      return String(name.dropFirst(prefix.count))
    }
    return name
  }
}
