internal import ArgumentParser
internal import StateDictKit

/// How `merge --method update` handles values of a different shape.
struct ResizeOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Make OTHER's value fit: KEY=bicubic|channels|pad|pad-zeros|crop|reinit.",
      discussion: """
        bicubic interpolates position embeddings (and takes ,prefix=N,from=HxW,to=HxW), channels repeats or sums \
        an input convolution's, pad and crop add and leave out rows, reinit gives BASE fresh values. KEY is a \
        whole key, or a pattern with its kind.
        """, valueName: "key=mode"))
  var resize: [String] = []

  @Option(help: "What fresh values (as in torch.manual_seed) and random methods depend on.")
  var seed: UInt64 = 0

  func rules() throws -> [ResizeRule] { try resize.map { try ResizeRule($0) } }
}

/// The report of an update, as JSON.
private struct UpdateOutcome: Encodable {
  struct Skipped: Encodable {
    let key: String
    let expected, found: [Int]?
  }
  struct Fitted: Encodable {
    let key, rule: String
    let found: [Int]?
    let shape: [Int]
  }
  let base, at, output: String
  let others: [String]
  let dry_run: Bool
  let replaced, added: [String]
  let resized: [Fitted]
  let skipped: [Skipped]
  let broken_ties: [[String]]
  let separated: [OutputOptions.Separated]
  let plain: [String: String]
  let bytes: Int
}

extension MergeCommand {
  /// Replaces the selected keys of BASE by those of each OTHER.
  func plannedUpdate(_ inputs: OpenInputs) throws -> PlannedOutput {
    let keyRules = try renames.keyRules(with: recipes)
    let rules = try resizing.rules()
    var checkpoint = try inputs.take(files[0])
    let place = try checkpoint.chosenPath(at)
    var merged = try checkpoint.stateDict(at: place)
    var total = UpdateReport()
    var unmatched: Set<KeyReport.Rule> = []
    for file in files.dropFirst() {
      let all = try Checkpoint(contentsOf: file).chosenStateDict(otherAt)
      let selected = try selection.apply(to: all, of: file)
      let split = NumberGate(all).weightsSplit(by: selected.keys)
      guard split.isEmpty else { throw DerivedWeightError.splits(split) }
      let (other, keys) = try selected.applying(selected.steps(of: keyRules))
      try reportUnmatched(keys, of: file)
      let report: UpdateReport
      do {
        report = try merged.update(
          with: other, allowNew: allowNew, skipMismatched: skipMismatched, resizing: rules,
          seed: resizing.seed)
      } catch StateDictError.cannotUpdate(let missing, let mismatched)
        where missing.contains(where: Self.isOfAdapter)
      {
        let error = StateDictError.cannotUpdate(missing: missing, mismatched: mismatched)
        throw InputError(
          description: "\(error.description) (\(file))",
          hint: "these are an adapter's keys: --method lora adds it to the weights")
      } catch let error as any Diagnostic where error is StateDictError || error is ResizeError {
        throw InputError(description: "\(error.description) (\(file))", hint: error.optionHint)
      }
      total.replaced += report.replaced
      total.added += report.added
      total.skipped += report.skipped
      total.resized += report.resized
      total.brokenTies += report.brokenTies
      for rule in report.unmatched {
        unmatched.insert(rule.rule)
        Messages.warn(
          "\(rule.rule.option) matches no key of \(files[0])"
            + (rule.nearest.isEmpty ? "" : "; near it: \(rule.nearest.joined(separator: ", "))"))
      }
    }
    let known = Set(total.resized.map(\.rule))
    for rule in rules
    where !known.contains(rule.written) && !unmatched.contains(.resize(rule)) {
      Messages.warn("--resize \(rule.written) changes nothing: the shapes fit already")
    }
    for tie in total.brokenTies {
      Messages.warn("no longer tied: " + tie.joined(separator: ", "))
    }
    for mismatch in total.skipped { Messages.warn("skipped: \(mismatch)") }
    let (changed, separated) = try output.put(merged, into: &checkpoint, at: place)
    let done = total
    return try output.planned(checkpoint, common: common, at: place) {
      show(done, at: place, separated, changed: changed, bytes: $0)
    }
  }

  /// Whether a key belongs to a low-rank adapter, with the names of peft, diffusers, or kohya.
  private static func isOfAdapter(_ key: String) -> Bool {
    key.split(separator: ".").contains { part in
      [
        "lora_A", "lora_B", "lora_up", "lora_down", "lora_embedding_A", "lora_embedding_B", "lora",
      ].contains(part)
    }
  }

  private func show(
    _ total: UpdateReport, at place: String, _ separated: [OutputOptions.Separated],
    changed: [PlainChange], bytes: Int
  ) {
    if common.json {
      return showJSON(outcome(total, at: place, separated, changed: changed, bytes: bytes))
    }
    if output.dryRun {
      for key in total.replaced { print("replace  \(Messages.line(key))") }
      for key in total.added { print("add      \(Messages.line(key))") }
    }
    for one in total.resized {
      let from = one.found.map { "from \($0) " } ?? ""
      print("resize   \(Messages.line(one.key))  \(from)to \(one.shape)")
    }
    print(
      "\(total.replaced.count) keys replaced, \(total.added.count) added, "
        + "\(total.skipped.count) skipped, "
        + "\(bytesText(bytes)) \(output.dryRun ? "would go" : "written") to \(output.output)")
  }

  private func outcome(
    _ total: UpdateReport, at place: String, _ separated: [OutputOptions.Separated],
    changed: [PlainChange], bytes: Int
  ) -> UpdateOutcome {
    UpdateOutcome(
      base: files[0], at: place, output: output.output, others: Array(files.dropFirst()),
      dry_run: output.dryRun, replaced: total.replaced, added: total.added,
      resized: total.resized.map {
        .init(key: $0.key, rule: $0.rule, found: $0.found, shape: $0.shape)
      },
      skipped: total.skipped.map { .init(key: $0.key, expected: $0.expected, found: $0.found) },
      broken_ties: total.brokenTies, separated: separated,
      plain: Dictionary(changed.map { ($0.path, $0.what) }) { first, _ in first }, bytes: bytes)
  }
}
