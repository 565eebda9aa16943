internal import ArgumentParser
internal import StateDictKit
internal import CkptText

/// The report of `filter` and `rename-keys`, as text and as JSON.
private struct EditReport: Encodable {
  struct Rename: Encodable {
    let from, to: String
  }
  struct Unmatched: Encodable {
    let rule: String
    let nearest: [String]
  }
  struct Optimizer: Encodable {
    let at: String
    let kept: Int
    let removed: [String]
    let renamed: [Rename]

    init(_ edit: OptimizerEdit) {
      at = edit.path
      kept = edit.kept
      removed = edit.removed
      renamed = edit.renamed.map { Rename(from: $0.old, to: $0.new) }
    }
  }
  let file, at, output: String
  let dry_run: Bool
  let kept, dropped: [String]
  let renamed: [Rename]
  let unmatched: [Unmatched]
  let optimizers: [Optimizer]
  let separated: [OutputOptions.Separated]
  let plain: [String: String]
  let bytes: Int

  init(
    file: String, at: String, output: OutputOptions, report: KeyReport = KeyReport(),
    optimizers: [OptimizerEdit] = [], separated: [OutputOptions.Separated] = [],
    plain: [PlainChange], bytes: Int
  ) {
    self.file = file
    self.at = at
    self.output = output.output
    self.bytes = bytes
    dry_run = output.dryRun
    kept = report.kept
    dropped = report.dropped
    renamed = report.renamed.map { .init(from: $0.old, to: $0.new ?? "") }
    unmatched = report.unmatched.map { .init(rule: $0.rule.option, nearest: $0.nearest) }
    self.optimizers = optimizers.map(Optimizer.init)
    self.separated = separated
    self.plain = Dictionary(plain.map { ($0.path, $0.what) }) { first, _ in first }
  }
}

/// The counts of the report of `filter` and `rename-keys`. Only these are kept while the output is
/// written, unless the whole report is printed.
private struct EditCounts {
  let kept, dropped, renamed: Int

  init(_ report: KeyReport) {
    kept = report.kept.count
    dropped = report.dropped.count
    renamed = report.renamed.count
  }

  /// The last line of the text.
  func summary(_ optimizers: [OptimizerEdit], _ output: OutputOptions, bytes: Int) -> String {
    var parts: [String] = []
    if kept + dropped > 0 { parts.append("\(kept) of \(kept + dropped) keys kept") }
    if renamed > 0 { parts.append("\(renamed) renamed") }
    for optimizer in optimizers {
      parts.append(
        "\(optimizer.kept) of \(optimizer.kept + optimizer.removed.count) parameters kept at "
          + optimizer.path)
    }
    parts.append(
      "\(bytesText(bytes)) \(output.dryRun ? "would go" : "written") to \(output.output)")
    return parts.joined(separator: ", ")
  }
}

/// Prints old and new names, and groups of unchanged ones in one row.
func printKeyTable(_ report: KeyReport) {
  var rows: [[String]] = []
  var same = 0
  func fold() {
    if same > 0 { rows.append(["… \(same) unchanged", "", ""]) }
    same = 0
  }
  for change in report.changes {
    if change.isSame {
      same += 1
      continue
    }
    fold()
    rows.append([
      Messages.line(change.old), "->", change.new.map { Messages.line($0) } ?? "(left out)",
    ])
  }
  fold()
  Table.print(rows)
}

/// Prints warnings about weights of which only some parts are kept.
///
/// - Throws: `DerivedWeightError.noNumbers` for codes without their scales that would be cast.
func reportSplit(_ stateDict: StateDict, keeping keys: [String], casting: Bool = false) throws {
  let kept = ExactSet(keys)
  let split = NumberGate(stateDict).weightsSplit(by: keys)
  let codes = split.filter { $0.kind == .quantized }
  if casting, !codes.isEmpty {
    throw DerivedWeightError.noNumbers(operation: "cast", input: "", codes)
  }
  for weight in split {
    let left = weight.parts.filter { !kept.contains($0) }
    Messages.warn(
      "\(weight.summary) is kept without \(left.joined(separator: ", ")): the rest is not the weight"
    )
  }
}

/// A command that selects and renames keys.
protocol KeyEditingCommand: PlannedCommand {
  var file: String { get }
  var at: String? { get }
  var selection: SelectionOptions { get }
  var optimizer: OptimizerOptions { get }
  var output: OutputOptions { get }
  var common: CommonOptions { get }
}

extension KeyEditingCommand {
  /// Applies the selection and the rules.
  ///
  /// - Parameter keepsNames: whether selected keys keep their names, ignoring the rules.
  fileprivate func edited(
    by rules: [KeyRule], keepsNames: Bool = false, _ inputs: OpenInputs
  ) throws -> PlannedOutput {
    var checkpoint = try inputs.take(file)
    let place = try checkpoint.chosenPath(at)
    let rules = [KeyRule.step(.select(try selection.selection()))] + rules
    var optimizers: [OptimizerEdit] = []
    var report: KeyReport
    var changed: [PlainChange] = []
    var separated: [OutputOptions.Separated] = []
    if try checkpoint.hasOptimizer(at: place) {
      if !output.extract {
        separated = OutputOptions.tell(try checkpoint.separateOptimizer(at: place))
      }
      (report, optimizers) = try editOptimizer(&checkpoint, at: place, rules, optimizer)
      try reportUnmatched(report, of: file)
      try selection.checkIsNotEmpty(report.kept.count, of: report.changes.count, in: file)
      changed = try output.prepare(&checkpoint, at: place)
    } else {
      let all = try checkpoint.stateDict(at: place)
      let result: StateDict
      let steps = try all.steps(of: rules)
      (result, report) = try keepsNames ? all.filter(by: steps) : all.applying(steps)
      try reportUnmatched(report, of: file)
      try selection.checkIsNotEmpty(result.count, of: all.count, in: file)
      if report.kept.count < all.count { try reportSplit(all, keeping: report.kept) }
      if !output.extract {
        optimizers = try optimizer.apply(to: &checkpoint, report, of: all, at: place)
      }
      (changed, separated) = try output.put(result, into: &checkpoint, at: place)
    }
    let counts = EditCounts(report)
    if !common.json, !output.dryRun { report = KeyReport() }
    let (told, edits) = (report, optimizers)
    return try output.planned(checkpoint, common: common, at: place, carryingFilesOf: file) {
      bytes in
      if common.json {
        return showJSON(
          EditReport(
            file: file, at: place, output: output, report: told, optimizers: edits,
            separated: separated, plain: changed, bytes: bytes))
      }
      if output.dryRun { printKeyTable(told) }
      print(counts.summary(edits, output, bytes: bytes))
    }
  }
}

/// Selects and renames an optimizer's parameters with the steps.
private func editOptimizer(
  _ checkpoint: inout Checkpoint, at place: String, _ rules: [KeyRule], _ options: OptimizerOptions
) throws -> (KeyReport, [OptimizerEdit]) {
  var source = ParameterNameSource.checkpoint
  switch try options.choice() {
  case .follow(let given): source = given
  case .keep:
    throw UsageError(
      description: "--optimizer keep decides nothing here: the optimizer itself is edited")
  case .warn: break
  case .these(let chosen):
    guard chosen.count == 1, let only = chosen.first, only.path == place else {
      throw UsageError(
        description: "--at names the optimizer's state at \(place); --optimizer names another")
    }
    source = only.names
  }
  let optimizer = try checkpoint.optimizerState(at: place, source: source)
  let (report, edit) = try checkpoint.editOptimizer(
    optimizer, optimizer.parametersByName.steps(of: rules))
  return (report, [edit])
}

struct FilterCommand: KeyEditingCommand {
  static let configuration = CommandConfiguration(
    commandName: "filter", abstract: "Keep the selected keys; everything else in the file stays.",
    discussion: """
      With --at at an optimizer's state, keys are the names of its parameters. --recipe keeps the keys that \
      the recipe keeps, under their own names.
      """)

  @Argument(help: "The checkpoint.") var file: String
  @Option(help: "Where in the file the state dict is: keys joined by /.") var at: String?
  @OptionGroup var selection: SelectionOptions
  @OptionGroup var recipes: RecipeOptions
  @OptionGroup(visibility: .private) var renames: RenameOptions
  @OptionGroup var optimizer: OptimizerOptions
  @OptionGroup var output: OutputOptions
  @OptionGroup var common: CommonOptions

  func planned(_ inputs: OpenInputs) throws -> PlannedOutput {
    guard renames.isEmpty else {
      throw UsageError(
        description: "filter does not rename", hint: "rename-keys takes the same options")
    }
    return try edited(by: renames.keyRules(with: recipes), keepsNames: true, inputs)
  }
}

struct RenameKeysCommand: KeyEditingCommand {
  static let configuration = CommandConfiguration(
    commandName: "rename-keys",
    abstract: "Rename keys, and the modules' metadata with them; rules apply in the order given.",
    discussion: "With --at at an optimizer's state, keys are the names of its parameters.")

  @Argument(help: "The checkpoint.") var file: String
  @Option(help: "Where in the file the state dict is: keys joined by /.") var at: String?
  @OptionGroup var selection: SelectionOptions
  @OptionGroup var renames: RenameOptions
  @OptionGroup var recipes: RecipeOptions
  @OptionGroup var optimizer: OptimizerOptions
  @OptionGroup var output: OutputOptions
  @OptionGroup var common: CommonOptions

  func planned(_ inputs: OpenInputs) throws -> PlannedOutput {
    let rules = try renames.keyRules(with: recipes)
    guard !rules.isEmpty else {
      throw UsageError(
        description: "no rule says how to rename",
        hint: "such as --strip-prefix module. or --recipe data-parallel")
    }
    return try edited(by: rules, inputs)
  }
}

struct RewriteCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rewrite", abstract: "Write any checkpoint anew, unchanged.", shouldDisplay: false)

  @Argument(help: "The checkpoint.") var file: String
  @OptionGroup var output: OutputOptions
  @OptionGroup var common: CommonOptions

  func planned(_ inputs: OpenInputs) throws -> PlannedOutput {
    var checkpoint = try inputs.take(file)
    let changed = try output.prepare(&checkpoint, at: "/")
    return try output.planned(checkpoint, common: common) { bytes in
      guard common.json else {
        return print(EditCounts(KeyReport()).summary([], output, bytes: bytes))
      }
      showJSON(EditReport(file: file, at: "/", output: output, plain: changed, bytes: bytes))
    }
  }
}
