internal import ArgumentParser
internal import StateDictKit

struct FoldCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fold",
    abstract: "Make plain weights of those that are computed from several keys.",
    discussion: """
      Weight norm, spectral norm, pruning masks and parametrizations become what PyTorch's remove_weight_norm, \
      remove_spectral_norm, prune.remove and remove_parametrizations leave, in evaluation mode. Everything else in \
      the file stays. What a file does not tell enough about is refused by name.
      """)

  @Argument(help: "The checkpoint.") var file: String
  @Option(help: "Where in the file the state dict is: keys joined by /.") var at: String?
  @OptionGroup(title: "Which weights are folded, by their plain names") var selection:
    SelectionOptions
  @OptionGroup var output: OutputOptions
  @OptionGroup var common: CommonOptions

  /// A weight that is or was stored in parts, as JSON.
  private struct Weight: Encodable {
    let key, kind, family: String
    let parts: [String]

    init(_ weight: DerivedWeight) {
      key = weight.key
      kind = weight.kind.rawValue
      family = weight.family
      parts = weight.parts
    }
  }

  private struct Report: Encodable {
    let file, at, output: String
    let dry_run: Bool
    let folded, left: [Weight]
    let plain: [String: String]
    let bytes: Int
  }

  func planned(_ inputs: OpenInputs) throws -> PlannedOutput {
    var checkpoint = try inputs.take(file)
    var place = try at ?? checkpoint.stateDictPath()
    let all = try checkpoint.stateDict(at: place)
    let chosen = try selection.apply(to: try candidates(in: all), of: file)
    let (result, report) = try all.folding { key, start in
      // Weights that result from a fold, such as the weight norm of a pruned direction, could not
      // be selected.
      chosen[key] != nil || selection.isEverything
    }
    warn(of: report)
    for path in checkpoint.optimizerPaths() {
      Messages.warn("\(path) is as it was: it knows the parts of the weights, not the weights")
    }
    if checkpoint.format == .torchScript, output.extract {
      checkpoint = try Checkpoint(result)
      place = "/"
    } else {
      try checkpoint.replaceStateDict(at: place, with: result)
    }
    let changed = try output.prepare(&checkpoint, at: place)
    return try output.planned(checkpoint, common: common, at: place, carryingFilesOf: file) {
      show(report, at: place, changed, bytes: $0)
    }
  }

  private func show(_ report: FoldReport, at place: String, _ changed: [PlainChange], bytes: Int) {
    guard !common.json else {
      return showJSON(
        Report(
          file: file, at: place, output: output.output, dry_run: output.dryRun,
          folded: report.folded.map(Weight.init), left: report.left.map(Weight.init),
          plain: Dictionary(changed.map { ($0.path, $0.what) }) { first, _ in first }, bytes: bytes)
      )
    }
    Table.print(
      report.folded.map { weight in
        [
          Messages.line(weight.key), weight.family,
          weight.parts.map { Messages.line($0) }.joined(separator: ", "),
        ]
      })
    print(
      "\(report.folded.count) weights folded, "
        + "\(bytesText(bytes)) \(output.dryRun ? "would go" : "written") to \(output.output)")
  }

  /// The weights that can be folded, with plain names.
  ///
  /// - Throws: an error if there are none.
  private func candidates(in stateDict: StateDict) throws -> StateDict {
    let starts = stateDict.foldableStarts
    guard starts.isEmpty, !selection.allowEmpty else { return starts }
    let codes = stateDict.derivedWeights.filter { $0.kind == .quantized }
    guard let first = codes.first else {
      throw InputError(
        description: "no weight is computed from several keys (\(file))",
        hint: "\"ckpt ls\" lists the keys; --allow-empty lets this pass")
    }
    throw InputError(
      description:
        "\(codes.count) weights are quantized codes, such as \(first.summary) (\(file))",
      hint: "no command makes plain weights of codes and scales yet")
  }

  private func warn(of report: FoldReport) {
    let codes = report.left.filter { $0.kind == .quantized }
    if let first = codes.first {
      Messages.warn("\(codes.count) quantized weights stay codes, such as \(first.summary)")
    }
    for weight in report.folded where weight.mayHaveMoreSteps {
      Messages.warn(
        "\(weight.key): the file records no modules, so parametrizations without tensors of their own are "
          + "taken not to be there")
    }
  }
}
