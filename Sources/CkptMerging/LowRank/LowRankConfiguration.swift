internal import CkptPatterns
internal import CkptPlatform
public import CkptStateDicts

extension LowRankAdapter {
  /// An adapter's configuration, which gives the scale of its products: peft's
  /// `adapter_config.json`, or the metadata that diffusers stores in the file.
  public struct Configuration: Sendable {
    /// The numerator of the scale (`lora_alpha`); nil if not specified.
    public var alpha: Double?
    /// The rank (`r`) that alpha is divided by; nil: the rank of the stored matrices.
    public var rank: Int?
    /// Whether alpha is divided by the square root of the rank instead of the rank (`use_rslora`).
    public var usesRootOfRank = false
    /// Whether weights are stored as inputs by outputs (`fan_in_fan_out`); nil if not specified.
    /// Used only where the base does not show the orientation of a weight.
    public var isTransposed: Bool?
    /// How `init_lora_weights` changed the base's weights.
    public var initialization = Initialization.plain
    /// Whether the adapter has biases of its own (`lora_bias`); nil: the file's keys tell.
    public var hasBiases: Bool?
    /// Unknown fields with false or empty values, which can be ignored.
    public internal(set) var unknownFields: [String] = []
    /// The entries of `alpha_pattern`, in the file's order.
    var alphas: [(pattern: ModulePattern, value: Double)] = []
    /// The entries of `rank_pattern`, in the file's order.
    var ranks: [(pattern: ModulePattern, value: Int)] = []
    /// Which modules are adapted.
    var targets = ModuleTargets()

    /// A configuration in which every field has its default.
    public init() {}

    /// What was subtracted from the base's weights when training began.
    public enum Initialization: Sendable {
      /// Nothing: the initial product is zero, or was not subtracted from the base.
      case plain
      /// The part of the largest singular values (`pissa`).
      case principal
      /// The scale times the first columns of Q and the first rows of R of a QR decomposition
      /// (`olora`).
      case triangular
    }

    /// Reads a configuration.
    ///
    /// - Parameters:
    ///   - fields: the configuration's object, in the file's order.
    ///   - source: the name used in error messages.
    /// - Returns: the configuration of each part of a pipeline that the field names start with
    ///   (such as `unet.lora_alpha`); fields without a part are under the empty name.
    /// - Throws: `MergeError.badConfiguration` with all fields that are invalid or not supported.
    public static func read(
      _ fields: PlainValue, source: String
    ) throws -> [String: Configuration] {
      guard case .dict(let entries) = fields else {
        throw MergeError.badConfiguration(source: source, problems: ["it is no object"])
      }
      var parts: [String: [(field: String, value: PlainValue)]] = [:]
      for case (.string(let name), let value) in entries {
        let dot = name.lastIndex(of: ".")
        let part = dot.map { String(name[..<$0]) } ?? ""
        let field = dot.map { String(name[name.index(after: $0)...]) } ?? name
        parts[part, default: []].append((field, value))
      }
      var problems: [String] = []
      var result: [String: Configuration] = [:]
      for (part, fields) in parts.sorted(by: { $0.key < $1.key }) {
        var reader = ConfigurationReader(part: part)
        for (field, value) in fields { reader.read(field, value) }
        problems += reader.problems
        result[part] = reader.configuration
      }
      guard problems.isEmpty else {
        throw MergeError.badConfiguration(source: source, problems: problems)
      }
      return result
    }

    /// The alpha and the rank that it is divided by, for a module.
    ///
    /// The first matching pattern applies, in the file's order, as peft's `get_pattern_key` finds
    /// it.
    func size(of module: String) -> (alpha: Double?, rank: Int?) {
      (
        alphas.first { $0.pattern.matches(module) }?.value ?? alpha,
        ranks.first { $0.pattern.matches(module) }?.value ?? rank
      )
    }
  }
}

/// Reads the fields of one configuration, one after the other.
private struct ConfigurationReader {
  let part: String
  var configuration = LowRankAdapter.Configuration()
  var problems: [String] = []

  init(part: String) { self.part = part }

  /// Reads a field, and records a problem if it is invalid or not supported.
  mutating func read(_ field: String, _ value: PlainValue) {
    let name = part.isEmpty ? field : "\(part).\(field)"
    switch ConfigurationField.rules[field] {
    case .honored:
      do throws(Unfit) {
        try honor(field, value)
      } catch {
        problems.append("\(name) \(error.problem)")
      }
    case .decidesNothing: break
    case .refusedIfTrue(let reason):
      if !ConfigurationField.isFalse(value) { problems.append("\(name) is set: \(reason)") }
    case .refusedUnlessNull(let reason):
      if case .none = value { break }
      problems.append("\(name) is set: \(reason)")
    case nil:
      if ConfigurationField.isFalse(value) {
        configuration.unknownFields.append(name)
      } else {
        problems.append("\(name) is no known field, so what it asks for is not known")
      }
    }
  }

  /// An invalid or unsupported value.
  private struct Unfit: Error {
    let problem: String
  }

  /// Reads a field that influences the merge.
  private mutating func honor(_ field: String, _ value: PlainValue) throws(Unfit) {
    switch field {
    case "peft_type":
      // peft's enumeration may have been written with its name.
      guard let text = value.string, ["LORA", "PeftType.LORA"].contains(text) else {
        throw Unfit(problem: "is \(value.string ?? "no text"); only LORA is merged")
      }
    case "lora_alpha": configuration.alpha = try number(value)
    case "r": configuration.rank = try positive(value)
    case "use_rslora": configuration.usesRootOfRank = try bool(value)
    case "fan_in_fan_out": configuration.isTransposed = try bool(value)
    case "lora_bias": configuration.hasBiases = try bool(value)
    case "alpha_pattern":
      configuration.alphas = []
      for (text, value) in try entries(value) {
        configuration.alphas.append((try pattern(text), try number(value)))
      }
    case "rank_pattern":
      configuration.ranks = []
      for (text, value) in try entries(value) {
        configuration.ranks.append((try pattern(text), try positive(value)))
      }
    case "bias":
      guard let text = value.string, ["none", "all", "lora_only"].contains(text) else {
        throw Unfit(problem: "is none of none, all, lora_only")
      }
    case "init_lora_weights": configuration.initialization = try initialization(value)
    case "target_modules": configuration.targets.targets = try modules(value)
    case "exclude_modules": configuration.targets.excluded = try modules(value)
    case "ensure_weight_tying": configuration.targets.hasTied = try bool(value)
    case "modules_to_save":
      configuration.targets.saved = try texts(value).map { text throws(Unfit) in
        try pattern(text) { "^(^|.*\\.)\($0)($|\\..*)" }
      }
    case "layers_to_transform":
      switch value {
      case .none: configuration.targets.layers = []
      case .int(let layer): configuration.targets.layers = [layer]
      default:
        guard let items = value.items, items.allSatisfy({ $0.int != nil }) else {
          throw Unfit(problem: "is no list of layers' numbers")
        }
        configuration.targets.layers = items.compactMap(\.int)
      }
    case "layers_pattern":
      configuration.targets.layerPatterns = try texts(value).map { text throws(Unfit) in
        try pattern(text) { "^(?:^|.*?\\.)\($0)\\.(\\d+)\\." }
      }
    default: throw Unfit(problem: "is not read")
    }
  }

  /// What `init_lora_weights` does when peft loads an adapter (`LoraLayer.update_layer`).
  private func initialization(
    _ value: PlainValue
  ) throws(Unfit) -> LowRankAdapter.Configuration.Initialization {
    if ConfigurationField.isFalse(value) { return .plain }
    if case .bool = value { return .plain }
    guard let text = value.string else { throw Unfit(problem: "is neither true, false nor a name") }
    let lower = text.lowercased()
    if text == "pissa" { return .principal }
    if lower == "olora" { return .triangular }
    if ["eva", "orthogonal", "lora_ga"].contains(text) { return .plain }
    if ["gaussian", "mica"].contains(lower) { return .plain }
    let what = "is \(text)"
    if text.hasPrefix("pissa") {
      throw Unfit(
        problem: "\(what): it took an approximation out of the base's weights that depends on "
          + "random numbers which no file holds; pissa alone is exact")
    }
    if text.hasPrefix("corda") {
      throw Unfit(
        problem: "\(what): what it took out of the base's weights depends on the data it was "
          + "made with; save the adapter converted (path_initial_model_for_weight_conversion)")
    }
    if text == "loftq" {
      throw Unfit(problem: "\(what): it replaced the base's weights by quantized ones")
    }
    throw Unfit(problem: "\(what), which peft does not know")
  }

  private func bool(_ value: PlainValue) throws(Unfit) -> Bool {
    if case .none = value { return false }
    guard let bool = value.bool else { throw Unfit(problem: "is neither true nor false") }
    return bool
  }

  private func number(_ value: PlainValue) throws(Unfit) -> Double {
    guard let number = value.number, number.isFinite else { throw Unfit(problem: "is no number") }
    return number
  }

  private func positive(_ value: PlainValue) throws(Unfit) -> Int {
    guard let int = value.int, int > 0 else { throw Unfit(problem: "is no rank above 0") }
    return int
  }

  private func entries(_ value: PlainValue) throws(Unfit) -> [(String, PlainValue)] {
    if case .none = value { return [] }
    guard case .dict(let entries) = value else { throw Unfit(problem: "is no object") }
    return entries.compactMap { key, value in key.string.map { ($0, value) } }
  }

  private func texts(_ value: PlainValue) throws(Unfit) -> [String] {
    if case .none = value { return [] }
    if let text = value.string { return text.isEmpty ? [] : [text] }
    guard let items = value.items, items.allSatisfy({ $0.string != nil }) else {
      throw Unfit(problem: "is no list of names")
    }
    return items.compactMap(\.string)
  }

  private func modules(_ value: PlainValue) throws(Unfit) -> ModuleTargets.Names? {
    if ConfigurationField.isFalse(value) { return nil }
    // A string is a regular expression for whole names; `all-linear` selects modules by type.
    if let text = value.string {
      return text.lowercased() == "all-linear" ? nil : .pattern(try pattern(text) { "^(?:\($0))$" })
    }
    return .tails(try texts(value))
  }

  private func pattern(
    _ text: String, _ whole: (String) -> String = { "^(.*\\.)?(\($0))$" }
  ) throws(Unfit) -> ModulePattern {
    do throws(PatternError) {
      return try ModulePattern(whole(text))
    } catch {
      throw Unfit(
        problem: "has the expression \"\(text)\", which is not read as Python does: \(error)")
    }
  }
}
