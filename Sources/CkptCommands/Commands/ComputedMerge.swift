internal import ArgumentParser
internal import StateDictKit

/// `merge` with computing methods.
extension MergeCommand {
  /// The names of all methods.
  static let methodNames = ["update"] + MergeMethod.allCases.map(\.name) + ["lora"]

  private struct Report: Encodable {
    let method, output, at: String
    let inputs: [String]
    let base: String?
    let seed: UInt64?
    let dry_run: Bool
    let merged, copied: [String]
    let kept: KeptReport
    /// Weights that are computed from several keys, whose parts were merged separately.
    let partwise: [String]
    let broken_ties: [[String]]
    let separated: [OutputOptions.Separated]
    let tied_heads: [MergeLossReport.Head]
    let losses: [MergeLossReport.Loss]
    let rounded_to_infinity: [MergeLossReport.Rounded]
    let plain: [String: String]
    let bytes: Int
  }

  /// Checks the options of these methods.
  func validateComputed() throws {
    guard Self.methodNames.contains(method) || MergeMethod(name: method) != nil else {
      throw ValidationError(
        "there is no method \"\(method)\"\nthere are: "
          + Self.methodNames.joined(separator: ", "))
    }
    let count = files.count + (merging.base == nil ? 0 : 1)
    guard count >= (method == "passthrough" ? 1 : 2) else {
      throw ValidationError("--method \(method) needs at least two files")
    }
  }

  func plannedMerge(_ open: OpenInputs) throws -> PlannedOutput {
    guard let kind = MergeMethod(name: method) else {
      throw UsageError(description: "there is no method \"\(method)\"")
    }
    var checkpoint = try open.take(files[0])
    let place = try checkpoint.chosenPath(at)
    func input(_ file: String) throws -> MergeInput {
      let other = try open.take(file)
      var input = MergeInput(name: file, stateDict: try other.chosenStateDict(otherAt))
      input.identity = other.inputIdentity
      return input
    }
    var first = MergeInput(name: files[0], stateDict: try checkpoint.stateDict(at: place))
    first.identity = checkpoint.inputIdentity
    var merge = try StateDictMerge(
      method: kind, inputs: [first] + files.dropFirst().map(input),
      base: merging.base.map(input))
    let (inputs, base) = (merge.inputs, merge.base)
    merge.cancellation = open.cancellation
    merge.selection = try selection.checked(against: inputs[0].stateDict, of: files[0])
    try merging.apply(to: &merge, takers: inputs.indices.filter { $0 != base }, seed: resizing.seed)
    let result = try merge.merged()
    return try planned(
      result, into: &checkpoint, at: place, inputs: inputs.map(\.name),
      base: base.map { inputs[$0].name }, seed: kind.isRandom ? resizing.seed : nil)
  }

  /// Replaces the state dict in the first file's checkpoint by the merged one, and computes the
  /// layout.
  private func planned(
    _ result: StateDictMerge.Result, into checkpoint: inout Checkpoint, at place: String,
    inputs: [String], base: String?, seed: UInt64?, method: String? = nil,
    carryingFilesOf source: String? = nil
  ) throws -> PlannedOutput {
    let method = method ?? self.method
    for weight in result.partwise {
      Messages.warn(
        "merged part by part: \(weight.summary); \"ckpt fold\" first merges the weights themselves")
    }
    for tie in result.brokenTies {
      Messages.warn("no longer tied: " + tie.joined(separator: ", "))
    }
    let kept = KeptReport(result)
    kept.warn()
    for head in result.tiedHeads {
      Messages.warn("\(head.key) of \(head.input) is its \(head.embedding)")
    }
    let (changed, separated) = try output.put(result.stateDict, into: &checkpoint, at: place)
    return try output.planned(checkpoint, common: common, at: place, carryingFilesOf: source) {
      bytes in
      let lost = MergeLossReport(result)
      guard common.json else {
        lost.show()
        if output.dryRun {
          for key in result.merged { print("merge    \(Messages.line(key))") }
          for key in result.copied { print("keep     \(Messages.line(key))") }
        }
        let copied =
          result.copied.isEmpty
          ? "" : "\(result.copied.count) that are not merged kept as they are, "
        print(
          "\(result.merged.count) keys merged by \(method), \(copied)"
            + "\(bytesText(bytes)) \(output.dryRun ? "would go" : "written") to \(output.output)")
        return
      }
      showJSON(
        Report(
          method: method, output: output.output, at: place, inputs: inputs, base: base, seed: seed,
          dry_run: output.dryRun, merged: result.merged, copied: result.copied, kept: kept,
          partwise: result.partwise.map(\.key),
          broken_ties: result.brokenTies, separated: separated, tied_heads: lost.heads,
          losses: lost.losses,
          rounded_to_infinity: lost.rounded,
          plain: Dictionary(changed.map { ($0.path, $0.what) }) { first, _ in first }, bytes: bytes)
      )
    }
  }

  /// Adds adapters to a base.
  func plannedLowRank(_ inputs: OpenInputs) throws -> PlannedOutput {
    guard files.count >= 2 else {
      throw UsageError(description: "lora needs a base and at least one adapter")
    }
    let scale = try MergingOptions.number(merging.scale, option: "scale")
    var checkpoint = try inputs.take(files[0])
    let place = try checkpoint.chosenPath(at)
    let adapters = try files.dropFirst().map { try LowRankAdapter(contentsOf: $0, at: otherAt) }
    for adapter in adapters where !adapter.unknownFields.isEmpty {
      Messages.warn(
        "fields of the adapter's configuration that nobody knows; they ask for nothing: "
          + adapter.unknownFields.joined(separator: ", ") + " (\(adapter.name))")
    }
    let before = try checkpoint.stateDict(at: place)
    var result = try LowRankAdapter.merge(
      adapters, into: before, baseName: files[0], scale: scale, keepsNaN: merging.onNan == "keep",
      cancellation: inputs.cancellation)
    try keepUnselected(&result, of: files[0], before)
    result.brokenTies = before.tiesBroken(in: result.stateDict)
    for adapter in adapters where !adapter.modulesWithoutAlpha.isEmpty {
      Messages.warn(
        "no alpha in the adapter: --scale alone says how much it counts (\(adapter.name))")
    }
    return try planned(
      result, into: &checkpoint, at: place, inputs: files, base: files[0], seed: nil)
  }

  /// Keeps the base's values for keys that are not selected.
  private func keepUnselected(
    _ result: inout StateDictMerge.Result, of file: String, _ base: StateDict
  ) throws {
    guard !selection.isEverything else { return }
    let selected = try selection.apply(to: base, of: file)
    for (key, value) in base where selected.value(for: key) == nil {
      result.stateDict.setValue(value, for: key)
    }
    result.merged = result.merged.filter { selected.value(for: $0) != nil }
  }

  /// Runs a recipe; the result is only a state dict.
  func plannedRecipe(_ path: String, _ inputs: OpenInputs) throws -> PlannedOutput {
    let recipe = try inputs.recipe(path)
    var options = StateDictMerge(method: recipe.method, inputs: [])
    try merging.applyCommon(to: &options, seed: resizing.seed)
    options.cancellation = inputs.cancellation
    var opened: [String: Checkpoint] = [:]
    for model in recipe.models { opened[model] = try inputs.take(model) }
    let identities = opened.mapValues { AnyHashable($0.inputIdentity) }
    let result = try recipe.merged(
      options: options, identify: { identities[$0] },
      load: { try (opened[$0] ?? Checkpoint(contentsOf: $0)).chosenStateDict(otherAt) })
    var checkpoint = try Checkpoint(result.stateDict)
    return try planned(
      result, into: &checkpoint, at: "/", inputs: recipe.models, base: nil,
      seed: recipe.method.isRandom ? resizing.seed : nil, method: recipe.method.name,
      carryingFilesOf: recipe.models.first)
  }
}
