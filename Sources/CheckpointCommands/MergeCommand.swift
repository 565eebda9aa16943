internal import ArgumentParser
internal import StateDictKit

struct MergeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "merge",
    abstract: "Make one checkpoint of several: one replaces parts of another, or all are computed.",
    discussion:
      "By default the selected keys of OTHER take the place of BASE's, as dict.update does. "
      + "docs/merging.md explains the other methods.")

  @Argument(help: "BASE, then the others; what is no tensor comes from BASE. None with --recipe.")
  var files: [String] = []

  @Option(help: "update, lora, or one of mergekit's, such as linear, slerp, ties, dare-ties.")
  var method = "update"
  @Option(help: "Carry out a recipe of mergekit's: a YAML file.") var recipe: String?
  @Option(help: "Where in BASE the state dict is: keys joined by /.") var at: String?
  @Option(help: "Where in each OTHER the state dict is.") var otherAt: String?
  @Flag(help: "Take keys that BASE lacks, too.") var allowNew = false
  @Flag(help: "Keep BASE's value where the shapes differ.") var skipMismatched = false
  @OptionGroup(title: "Which keys of OTHER") var selection: SelectionOptions
  @OptionGroup(title: "What they are called in BASE") var renames: RenameOptions
  @OptionGroup(title: "What methods other than update are told") var merging: MergingOptions
  @OptionGroup var output: OutputOptions
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if recipe != nil { return try validateRecipe() }
    guard method == "update" else { return try validateComputed() }
    guard files.count >= 2 else { throw ValidationError("merge needs BASE and at least one OTHER") }
    guard merging.given.isEmpty else {
      throw ValidationError("--\(merging.given[0]) goes with another --method than update")
    }
  }

  private struct Report: Encodable {
    struct Skipped: Encodable {
      let key: String
      let expected, found: [Int]?
    }
    let base, at, output: String
    let others: [String]
    let dry_run: Bool
    let replaced, added: [String]
    let skipped: [Skipped]
    let broken_ties: [[String]]
    let plain: [String: String]
    let bytes: Int
  }

  func run() throws {
    if let recipe { return try runRecipe(recipe) }
    switch method {
    case "update": try runUpdate()
    case "lora": try runLowRank()
    default: try runComputed()
    }
  }

  private func runUpdate() throws {
    let renames = try renames.renames()
    var checkpoint = try Checkpoint(files[0])
    let place = try at ?? checkpoint.stateDictPath()
    var merged = try checkpoint.stateDict(at: place)
    var total = UpdateReport()
    for file in files.dropFirst() {
      let other = try selection.apply(to: Checkpoint(file).stateDict(at: otherAt), of: file)
      let report: UpdateReport
      do {
        report = try merged.update(
          with: other.renamingKeys(renames), allowNew: allowNew, skipMismatched: skipMismatched)
      } catch let error as StateDictError {
        throw InputError(description: "\(error.description) (\(file))", hint: error.hint)
      }
      total.replaced += report.replaced
      total.added += report.added
      total.skipped += report.skipped
      total.brokenTies += report.brokenTies
    }
    for tie in total.brokenTies {
      Messages.warn("no longer tied: " + tie.joined(separator: ", "))
    }
    for mismatch in total.skipped { Messages.warn("skipped: \(mismatch)") }
    try checkpoint.replaceStateDict(at: place, with: merged)
    let changed = try output.prepare(&checkpoint, at: place)
    let bytes = try output.write(checkpoint, common: common, at: place)
    guard common.json else {
      if output.dryRun {
        for key in total.replaced { print("replace  \(Messages.line(key))") }
        for key in total.added { print("add      \(Messages.line(key))") }
      }
      print(
        "\(total.replaced.count) keys replaced, \(total.added.count) added, "
          + "\(total.skipped.count) skipped, "
          + "\(bytesText(bytes)) \(output.dryRun ? "would go" : "written") to \(output.output)")
      return
    }
    try printJSON(
      Report(
        base: files[0], at: place, output: output.output, others: Array(files.dropFirst()),
        dry_run: output.dryRun, replaced: total.replaced, added: total.added,
        skipped: total.skipped.map {
          .init(key: $0.key, expected: $0.expected, found: $0.found)
        },
        broken_ties: total.brokenTies,
        plain: Dictionary(changed.map { ($0.path, $0.what) }) { first, _ in first },
        bytes: bytes))
  }
}
