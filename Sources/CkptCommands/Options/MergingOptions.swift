internal import CkptPatterns
internal import ArgumentParser
internal import StateDictKit

/// Options for the computing methods of `merge`.
struct MergingOptions: ParsableArguments {
  @Option(help: "The base that the others are compared with, if it is not BASE.")
  var base: String?

  @Option(
    parsing: .unconditionalSingleValue,
    help: ArgumentHelp(
      "How much each file counts: a value for each, or one for all.",
      discussion:
        "V,V,… for the files in order; V:V:… goes over the layers from the first to the last; "
        + "PATTERN=V,… counts for the keys that match. Repeatable; the first that matches counts. "
        + "Options that take VALUES below are written so, too."))
  var weights: [String] = []

  @Option(
    parsing: .unconditionalSingleValue, help: "VALUES: the part of each task vector that is kept.")
  var density: [String] = []
  @Option(
    parsing: .unconditionalSingleValue, help: "VALUES, one: how far to go from BASE to OTHER.")
  var t: [String] = []
  @Option(
    parsing: .unconditionalSingleValue,
    help: "VALUES: how far probabilities spread around the density (della).")
  var epsilon: [String] = []
  @Option(
    parsing: .unconditionalSingleValue,
    help: "VALUES: the part that is dropped for being too large (breadcrumbs).")
  var gamma: [String] = []
  @Option(
    parsing: .unconditionalSingleValue,
    help: "VALUES, one: what the merged task vector is multiplied with.")
  var lambda: [String] = []
  @Option(
    parsing: .unconditionalSingleValue,
    help: "VALUES: what the input (passthrough) or the adapter (lora) is multiplied with.")
  var scale: [String] = []
  @Option(
    parsing: .unconditionalSingleValue,
    help: "VALUES, one: how much of the average stays when the next file comes (ema).")
  var decay: [String] = []
  @Option(
    parsing: .unconditionalSingleValue,
    help: "VALUES, one: the part of the varying elements that is selected (sce).")
  var selectTopk: [String] = []
  @Option(help: "How often the mean is moved at most (karcher).") var maxIter: String?
  @Option(help: "Angles and lengths below this count as none (karcher).") var tol: String?
  @Flag(inversion: .prefixedNo, help: "Divide by the weights that count.") var normalize: Bool?
  @Flag(inversion: .prefixedNo, help: "Scale what is kept to the size of the whole.")
  var rescale: Bool?
  @Flag(inversion: .prefixedNo, help: "Divide the weights by their sum (multislerp).")
  var normalizeWeights: Bool?
  @Flag(inversion: .prefixedNo, help: "Take each row for a vector of its own (model-stock).")
  var filterWise: Bool?
  @Flag(inversion: .prefixedNo, help: "Take the whole tensor for one vector (nuslerp).")
  var nuslerpFlatten: Bool?
  @Flag(inversion: .prefixedNo, help: "If not, take dimension 0 for the vectors (nuslerp).")
  var nuslerpRowWise: Bool?

  @Option(help: "The module with the numbered layers that values go over, such as model.layers.")
  var layers: String?
  @Option(help: "What a NaN in an input, or of infinities, is: error (default) or keep.")
  var onNan: String?
  @Flag(help: "Keep the first file's value where what cannot be merged differs.")
  var keepUnmergeable = false
  @Option(help: "The dtype of what is merged; allows inputs of different dtypes.")
  var toDtype: String?

  func validate() throws {
    if let onNan, !["error", "keep"].contains(onNan) {
      throw ValidationError("--on-nan is error or keep, not \"\(onNan)\"")
    }
  }

  /// The options that set parameters.
  static let parameters: [(option: String, parameter: MergeParameter)] = [
    ("weights", .weight), ("density", .density), ("t", .t), ("epsilon", .epsilon),
    ("gamma", .gamma), ("lambda", .lambda), ("scale", .scale), ("decay", .decay),
    ("select-topk", .selectTopK), ("max-iter", .maxIterations), ("tol", .tolerance),
    ("normalize", .normalize), ("rescale", .rescale), ("normalize-weights", .normalizeWeights),
    ("filter-wise", .filterWise), ("nuslerp-flatten", .flatten), ("nuslerp-row-wise", .rowWise),
  ]

  /// The values that were given for a parameter.
  private func texts(_ parameter: MergeParameter) -> [String] {
    func flag(_ value: Bool?) -> [String] { value.map { [$0 ? "1" : "0"] } ?? [] }
    return switch parameter {
    case .weight: weights
    case .density: density
    case .t: t
    case .epsilon: epsilon
    case .gamma: gamma
    case .lambda: lambda
    case .scale: scale
    case .decay: decay
    case .selectTopK: selectTopk
    case .maxIterations: maxIter.map { [$0] } ?? []
    case .tolerance: tol.map { [$0] } ?? []
    case .normalize: flag(normalize)
    case .rescale: flag(rescale)
    case .normalizeWeights: flag(normalizeWeights)
    case .filterWise: flag(filterWise)
    case .flatten: flag(nuslerpFlatten)
    case .rowWise: flag(nuslerpRowWise)
    case .int8Mask: []
    }
  }

  /// The options that were given, with the parameters that they set.
  private var values: [(option: String, MergeParameter, [String])] {
    Self.parameters.map { ($0.option, $0.parameter, texts($0.parameter)) }
      .filter { !$0.2.isEmpty }
  }

  /// Whether a value varies over the layers, so that the layers' module must be known.
  var goesOverLayers: Bool {
    values.contains { option, _, texts in
      texts.contains { text in
        // An invalid value is reported later.
        (try? Self.parse(text, option: option).values.contains { $0.count > 1 }) ?? true
      }
    }
  }

  /// Applies the options to a merge whose inputs are known.
  ///
  /// - Parameter takers: the indices of the inputs that have weights and densities, in the order of
  ///   the values.
  func apply(to merge: inout StateDictMerge, takers: [Int], seed: UInt64) throws {
    for (option, parameter, texts) in values {
      var shared: [MergeSetting.Rule] = []
      var each = [[MergeSetting.Rule]](repeating: [], count: takers.count)
      for text in texts {
        let (pattern, lists) = try Self.parse(text, option: option)
        // The first matching rule applies.
        if let last = shared.last ?? each.first?.last, last.pattern == nil {
          throw UsageError(
            description:
              "--\(option) \(text) decides nothing: the one before it counts for all keys",
            hint: "PATTERN=VALUES comes before the values for all keys")
        }
        if let pattern, let first = merge.inputs.first {
          try UnmatchedPatterns(
            KeySelection(include: [pattern]), in: first.stateDict.keys, options: [option]
          ).report(of: first.name)
        }
        if lists.count == 1 {
          shared.append(.init(pattern: pattern, values: lists[0]))
          for index in each.indices {
            each[index].append(.init(pattern: pattern, values: lists[0]))
          }
          continue
        }
        guard parameter.isPerInput, lists.count == takers.count else {
          throw MergeError.wrongCount(
            name: "--\(option)", found: lists.count, needed: parameter.isPerInput ? takers.count : 1
          )
        }
        for (index, values) in lists.enumerated() {
          each[index].append(.init(pattern: pattern, values: values))
        }
      }
      if parameter.isPerInput {
        for (index, rules) in zip(takers, each) {
          merge.inputs[index].settings[parameter] = MergeSetting(rules)
        }
      } else {
        merge.settings[parameter] = MergeSetting(shared)
      }
    }
    try applyCommon(to: &merge, seed: seed)
  }

  /// Applies the options that all methods and recipes support.
  func applyCommon(to merge: inout StateDictMerge, seed: UInt64) throws {
    merge.layers = layers ?? merge.layers
    merge.seed = seed
    merge.keepsNaN = onNan == "keep"
    merge.keepsUnmergeable = keepUnmergeable
    if let toDtype { merge.dtype = try mergedType(toDtype) }
  }

  private func mergedType(_ name: String) throws -> DType {
    let type = try SelectionOptions.dtype(name)
    guard type.isFloat, ElementConversion.isSupported(from: .float64, to: type) else {
      throw UsageError(description: "merged elements cannot be \(name)")
    }
    return type
  }

  /// The single number of an option without patterns.
  static func number(_ texts: [String], option: String) throws -> Double? {
    guard let text = texts.last else { return nil }
    let (pattern, lists) = try parse(text, option: option)
    guard pattern == nil, texts.count == 1, lists.count == 1, lists[0].count == 1 else {
      throw UsageError(description: "--\(option) takes one number here, not \"\(text)\"")
    }
    return lists[0][0]
  }

  /// Parses `[PATTERN=]V[:V…][,V[:V…]…]`.
  private static func parse(
    _ text: String, option: String
  ) throws -> (pattern: KeyPattern?, values: [[Double]]) {
    let equals = text.lastIndex(of: "=")
    let pattern = try equals.map { try KeyPattern(String(text[..<$0])) }
    let numbers = equals.map { text[text.index(after: $0)...] } ?? text[...]
    let lists = try numbers.split(separator: ",", omittingEmptySubsequences: false).map { list in
      try list.split(separator: ":", omittingEmptySubsequences: false).map { part in
        guard let value = Double(part), value.isFinite else {
          throw UsageError(
            description: "--\(option) has no number where \"\(part)\" stands (\"\(text)\")",
            hint: "such as 0.5, or 0.5,0.2 for two files, or 0:1 over the layers")
        }
        return value
      }
    }
    return (pattern, lists)
  }
}
