internal import CkptText
internal import Foundation
internal import CkptPlatform
public import CkptStateDicts
public import CkptTensors
internal import Yams

/// A merge recipe in mergekit's YAML format.
///
/// Supported are `merge_method`, `base_model`, `models` or `slices` (with `layer_range`),
/// `parameters` at every level with filters and gradients, `dtype`, and `out_dtype`. Models are
/// files or folders; paths are relative to the recipe. Tokenizer options are refused, since they
/// would change which row of an embedding stands for which token.
public struct MergeRecipe: Sendable {
  /// The path of the recipe's file.
  public let file: String
  /// The merge method.
  public let method: MergeMethod
  /// The paths of all models, without duplicates, in the order in which they are first named.
  public let models: [String]
  /// The dtype to which inputs are rounded before merging; nil to use their own.
  public let computeType: DType?
  /// The dtype of the merged tensors; nil for the compute type, or otherwise that of the base or of
  /// the first input.
  public let outputType: DType?

  /// The index in `models` of the recipe's base model.
  var base: Int?
  /// The slices in order; for a recipe with `models`, a single slice that stands for the whole
  /// model.
  var slices: [Slice]
  /// Whether the recipe has `slices` with layer ranges, rather than `models`.
  let hasLayerRanges: Bool
  let settings: MergeSettings

  /// One output slice: its sources, base model, and settings.
  struct Slice: Sendable {
    var sources: [Source]
    var base: Int?
    var settings: MergeSettings
  }

  /// One source of a slice: a model's index, a range of its layers (empty for a whole model), and
  /// settings.
  struct Source: Sendable {
    let model: Int
    let layers: Range<Int>
    let settings: MergeSettings
  }

  /// Reads a recipe from a file.
  ///
  /// - Throws: `FileError` if the file cannot be read; `MergeError.badRecipe` with the place in the
  ///   recipe.
  public init(contentsOf path: String) throws {
    let file = try File(readingFrom: path)
    let text: String
    do {
      text = try BoundedYAML.text(of: file, .document)
    } catch let failure as BoundedYAML.Failure {
      throw MergeError.badRecipe(file: path, path: "", problem: failure.problem, hint: nil)
    }
    try self.init(yaml: text, file: path)
  }

  /// Reads a recipe from text.
  ///
  /// - Parameters:
  ///   - yaml: the recipe.
  ///   - file: the path that errors name and that model paths are relative to.
  /// - Throws: `MergeError.badRecipe` with the place in the recipe.
  public init(yaml: String, file: String) throws {
    var reader = RecipeReader(file: file)
    let root = try reader.root(of: yaml)
    try reader.check(
      root, at: "",
      known: [
        "merge_method", "base_model", "models", "slices", "parameters", "dtype", "out_dtype",
      ],
      refused: [
        "tokenizer_source": "tokenizers are not merged", "tokenizer": "tokenizers are not merged",
        "chat_template": "chat templates belong to tokenizers, which are not merged",
        "modules": "models of several modules are not supported",
      ])
    guard let name = try reader.text(root, "merge_method", at: "") else {
      throw reader.bad("merge_method", "is missing")
    }
    guard let method = MergeMethod(name: name) else {
      let known = MergeMethod.allCases.map(\.name).joined(separator: ", ")
      throw reader.bad("merge_method", "\"\(name)\" is not supported", hint: "there are: \(known)")
    }
    self.file = file
    self.method = method
    computeType = try reader.dtype(root, "dtype")
    outputType = try reader.dtype(root, "out_dtype")
    settings = try reader.settings(root, at: "")
    base = try reader.text(root, "base_model", at: "").map { reader.model($0) }
    var slices: [Slice] = []
    if let list = try reader.list(root, "models", at: "") {
      guard root["slices"] == nil else { throw reader.bad("", "has both models and slices") }
      var sources: [Source] = []
      for (index, item) in list.enumerated() {
        sources.append(try reader.source(item, at: "models[\(index)]", hasRange: false))
      }
      hasLayerRanges = false
      slices = [Slice(sources: sources, base: base, settings: MergeSettings())]
    } else {
      guard let list = try reader.list(root, "slices", at: "") else {
        throw reader.bad("", "has neither models nor slices")
      }
      hasLayerRanges = true
      for (index, item) in list.enumerated() {
        slices.append(try reader.slice(item, at: "slices[\(index)]", base: base))
      }
    }
    guard slices.allSatisfy({ !$0.sources.isEmpty }), !slices.isEmpty else {
      throw reader.bad("", "names no models")
    }
    self.slices = slices
    models = reader.models
  }

  /// Plans the recipe's merge. No merged element is computed before the result's tensors are read.
  ///
  /// - Parameters:
  ///   - options: settings that a recipe does not contain: seed, NaN handling, cancellation,
  ///     layers; and an element type that overrides the recipe's.
  ///   - identify: returns an identity for one of ``models``, so that two paths of the same model
  ///     count as one; nil if only the path identifies it.
  ///   - load: returns the state dict of one of ``models``.
  /// - Throws: what `identify` and `load` throw; `MergeError`; `DerivedWeightError.noNumbers`.
  public func merged(
    options: StateDictMerge, identify: (String) throws -> AnyHashable? = { _ in nil },
    load: (String) throws -> StateDict
  ) throws -> StateDictMerge.Result {
    try resolvingModels(identify).resolvedMerge(options, load)
  }

  /// Plans the merge once each model has one index.
  private func resolvedMerge(
    _ options: StateDictMerge, _ load: (String) throws -> StateDict
  ) throws -> StateDictMerge.Result {
    var merge = options
    merge.method = method
    let used = Set(slices.flatMap { $0.sources.map(\.model) })
    var roundings: [(key: String, input: String, tally: ConversionTally)] = []
    merge.inputs = try models.enumerated().map { number, path in
      guard used.contains(number) else { return MergeInput(name: path, stateDict: StateDict()) }
      let (stateDict, tallies) = try converted(load(path))
      roundings += tallies.map { (key: $0.key, input: path, tally: $0.tally) }
      return MergeInput(name: path, stateDict: stateDict)
    }
    merge.dtype = options.dtype ?? outputType ?? computeType
    let plans = try hasLayerRanges ? slicePlans(merge) : wholePlans(merge)
    var result = try MergeExecution(merge).carryOut(plans, over: StateDict(), [])
    result.roundings = roundings
    return result
  }

  /// Rounds a model's merged tensors to `computeType`, with the losses of each.
  private func converted(
    _ stateDict: StateDict
  ) throws -> (stateDict: StateDict, tallies: [(key: String, tally: ConversionTally)]) {
    guard let computeType else { return (stateDict, []) }
    return try stateDict.converting(to: computeType) { _, tensor in
      method.merges(tensor) && !tensor.dtype.isComplex
    }
  }

  /// The numbering of a model's layers; nil if the model has no numbered layers.
  private func numbering(_ merge: StateDictMerge, _ model: Int) -> LayerNumbering? {
    let keys = merge.inputs[model].stateDict.keys
    return merge.layers.map { LayerNumbering(prefix: $0, keys: keys) } ?? LayerNumbering(keys: keys)
  }

  /// The plans of a recipe with `models`: one for each key of any model.
  private func wholePlans(_ merge: StateDictMerge) throws -> [TensorPlan] {
    let slice = slices[0]
    let first = slice.sources[0].model
    let numbering = numbering(merge, first)
    var keys = merge.inputs[first].stateDict.keys
    // Keys that the first model lacks are included, so that the error names them.
    var known = ExactSet(keys)
    for source in slice.sources.dropFirst() {
      for key in merge.inputs[source.model].stateDict.keys where known.insert(key).inserted {
        keys.append(key)
      }
    }
    return keys.map { key in
      var t = 0.0
      if let numbering, let layer = numbering.layer(of: key) {
        t = numbering.count > 1 ? min(1, Double(layer) / Double(numbering.count - 1)) : 1
      }
      return plan(key, t: t, slice, merge) { _ in key }
    }
  }

  /// The plans of a recipe with `slices`: embeddings from the first slice, the layers of all slices
  /// renumbered in order, and the remaining tensors from the last slice.
  private func slicePlans(_ merge: StateDictMerge) throws -> [TensorPlan] {
    guard let first = slices.first, let last = slices.last else { return [] }
    func problem(_ path: String, _ text: String) -> MergeError {
      .badRecipe(
        file: file, path: path, problem: text,
        hint: "\(.nameLayers) names the module that holds the layers, such as model.layers")
    }
    guard let numbering = numbering(merge, first.sources[0].model) else {
      throw problem("slices", "the first model has no numbered layers")
    }
    var before: [TensorPlan] = []
    var after: [TensorPlan] = []
    for key in merge.inputs[first.sources[0].model].stateDict.keys
    where numbering.layer(of: key) == nil && Self.isBeforeLayers(key) {
      before.append(plan(key, t: 0, first, merge) { _ in key })
    }
    for key in merge.inputs[last.sources[0].model].stateDict.keys
    where numbering.layer(of: key) == nil && !Self.isBeforeLayers(key) {
      after.append(plan(key, t: 0, last, merge) { _ in key })
    }
    // Heads that only another source has; the first source ties its head to its embedding.
    var known = ExactSet(merge.inputs[last.sources[0].model].stateDict.keys)
    for source in last.sources.dropFirst() {
      for key in merge.inputs[source.model].stateDict.keys
      where TiedHeads.isHead(key) && !Self.isBeforeLayers(key) && known.insert(key).inserted {
        after.append(plan(key, t: 0, last, merge) { _ in key })
      }
    }
    var layers: [TensorPlan] = []
    var target = 0
    for (number, slice) in slices.enumerated() {
      let count = slice.sources[0].layers.count
      for (index, source) in slice.sources.enumerated() {
        let path = "slices[\(number)].sources[\(index)]"
        guard source.layers.count == count else {
          throw problem(path, "has another number of layers than the first source")
        }
        let keys = merge.inputs[source.model].stateDict.keys
        let available = LayerNumbering(prefix: numbering.prefix, keys: keys)?.count ?? 0
        guard source.layers.upperBound <= available else {
          throw problem(path, "asks for layer \(source.layers.upperBound - 1) of \(available)")
        }
      }
      var byLayer: [Int: [String]] = [:]
      for key in merge.inputs[slice.sources[0].model].stateDict.keys {
        if let layer = numbering.layer(of: key) { byLayer[layer, default: []].append(key) }
      }
      for step in 0..<count {
        let t = count > 1 ? Double(step) / Double(count - 1) : 1
        for key in byLayer[slice.sources[0].layers.lowerBound + step] ?? [] {
          let name = numbering.key(key, inLayer: target) ?? key
          layers.append(
            plan(name, t: t, slice, merge) { source in
              numbering.key(key, inLayer: source.layers.lowerBound + step) ?? key
            })
        }
        target += 1
      }
    }
    return before + layers + after
  }

  /// Whether a tensor outside the layers comes before them, that is, is an embedding.
  ///
  /// mergekit knows each architecture; this decides by the name.
  private static func isBeforeLayers(_ key: String) -> Bool {
    let parts = key.split(separator: ".")
    return parts.contains { $0.contains("embed") || $0 == "wte" || $0 == "wpe" }
  }

  /// The plan of one result key, given the key in each source.
  private func plan(
    _ key: String, t: Double, _ slice: Slice, _ merge: StateDictMerge,
    _ sourceKey: (Source) -> String
  ) -> TensorPlan {
    TensorPlan(
      key: key, t: t,
      sources: slice.sources.map { source in
        let name = sourceKey(source)
        let stateDict = merge.inputs[source.model].stateDict
        let tied =
          stateDict.value(for: name) == nil ? TiedHeads.key(for: name, in: stateDict) : nil
        return .init(
          input: source.model, key: tied ?? name, name: name, settings: [source.settings])
      },
      base: slice.sources.firstIndex { $0.model == slice.base },
      shared: [slice.settings, settings])
  }
}
