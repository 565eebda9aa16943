internal import CkptPatterns
internal import ArgumentParser
internal import StateDictKit

/// The report of `convert`, `shard`, and `join`, as text and as JSON.
private struct ConvertReport: Encodable {
  struct Place: Encodable {
    let path, what: String
  }
  struct Tie: Encodable {
    let key, kept: String
  }
  struct Loss: Encodable {
    let key: String
    let overflowed, vanished: Int
  }
  struct File: Encodable {
    let name: String
    let bytes: Int
  }
  let file, at, from_format, output, format: String
  let dry_run: Bool
  let tensors: Int
  let converted: [String]
  let losses: [Loss]
  let dropped: [Place]
  let tied: [Tie]
  let copied, lost_metadata, carried: [String]
  let plain: [String: String]
  let separated: [OutputOptions.Separated]
  let files: [File]
  let bytes: Int

  func show(_ common: CommonOptions) {
    if common.json { return showJSON(self) }
    for place in dropped { print("left out  \(Messages.line(place.path)): \(place.what)") }
    for tie in tied { print("tied      \(Messages.line(tie.key)) = \(Messages.line(tie.kept))") }
    for key in copied { print("copied    \(Messages.line(key))") }
    for key in lost_metadata { print("left out  metadata \(Messages.line(key))") }
    for loss in losses {
      print(
        "lost      \(Messages.line(loss.key)): \(loss.overflowed) overflowed, "
          + "\(loss.vanished) went to zero")
    }
    if dry_run {
      for file in files { print("file      \(Messages.line(file.name))  \(file.bytes)") }
    }
    var parts = ["\(tensors) tensors"]
    if !converted.isEmpty { parts.append("\(converted.count) converted") }
    if files.count > 1 { parts.append("\(files.count) files") }
    parts.append("\(bytesText(bytes)) \(dry_run ? "would go" : "written") to \(output)")
    print(parts.joined(separator: ", "))
  }
}

/// The tensors that `convert --to-dtype` casts, of those that are written.
struct CastOptions: ParsableArguments {
  @Option(
    help: "What --to-dtype casts: keys that match; without any, all plain floats. Repeatable.")
  var castInclude: [String] = []

  @Option(help: "What --to-dtype does not cast; wins over --cast-include. Repeatable.")
  var castExclude: [String] = []

  static let names = ["cast-include", "cast-exclude"]

  /// Casts the selected tensors, like `module.to(dtype)`: floating-point tensors, and for an
  /// integer dtype also integers, but only those that --cast-include names.
  ///
  /// - Throws: `InputError` if --cast-include selects nothing that can be cast.
  func cast(
    _ stateDict: StateDict, to dtype: DType, of file: String
  ) throws -> (stateDict: StateDict, tallies: [(key: String, tally: ConversionTally)]) {
    let selection = KeySelection(
      include: try castInclude.map { try KeyPattern($0) },
      exclude: try castExclude.map { try KeyPattern($0) })
    try UnmatchedPatterns(selection, in: stateDict.keys, options: Self.names).report(of: file)
    let result = try stateDict.casting(to: dtype, selection)
    guard castInclude.isEmpty || !result.tallies.isEmpty else {
      throw InputError(
        description: "--cast-include selects no tensor that can be cast to \(dtype.name) (\(file))",
        hint: "floating-point tensors are cast; \"ckpt ls\" lists keys and dtypes")
    }
    return result
  }
}

/// Converts a checkpoint to another format.
private func convert(
  _ file: String, of inputs: OpenInputs, at: String?, dtype: DType? = nil,
  selection: SelectionOptions? = nil,
  cast: CastOptions? = nil, output: OutputOptions, common: CommonOptions
) throws -> PlannedOutput {
  var checkpoint = try inputs.take(file)
  let source = checkpoint.format
  var place = try at ?? (output.extract ? checkpoint.chosenPath(nil) : nil)
  var tallies: [(key: String, tally: ConversionTally)] = []
  var changed: [PlainChange] = []
  var separated: [OutputOptions.Separated] = []
  let selects = selection.map { !$0.isEverything } ?? false
  if selects || dtype != nil {
    let at = try checkpoint.chosenPath(place)
    place = at
    var stateDict = try checkpoint.stateDict(at: at)
    if selects, let selection {
      let all = stateDict
      let (kept, report) = try all.applying([.select(selection.selection())])
      try reportUnmatched(report, of: file)
      try selection.checkIsNotEmpty(kept.count, of: all.count, in: file)
      try reportSplit(all, keeping: report.kept, casting: dtype != nil)
      if !output.extract {
        try OptimizerOptions.warnOfThoseLeftBehind(checkpoint, report, of: all, at: at)
      }
      stateDict = kept
    }
    if let dtype, let cast {
      (stateDict, tallies) = try cast.cast(stateDict, to: dtype, of: file)
    }
    (changed, separated) = try output.put(stateDict, into: &checkpoint, at: at)
  } else {
    changed = try output.prepare(&checkpoint, at: place ?? "/")
  }
  let plan = try output.plan(checkpoint, at: place, carryingFilesOf: file)
  // A file may contain several state dicts, or none.
  let written = output.extract ? "/" : place ?? (try? checkpoint.stateDictPath())
  let count =
    try (try? checkpoint.stateDict(at: written ?? "/"))?.tensors.count
    ?? checkpoint.reachableTensorCount()
  return PlannedOutput(plan, output, common) { bytes in
    let losses = tallies.map { key, tally in
      ConvertReport.Loss(
        key: key, overflowed: tally.losses.overflowed, vanished: tally.losses.vanished)
    }
    ConvertReport(
      file: file, at: place ?? written ?? "/", from_format: source.rawValue,
      output: output.output, format: plan.format.rawValue, dry_run: output.dryRun, tensors: count,
      converted: tallies.map(\.key), losses: losses.filter { $0.overflowed + $0.vanished > 0 },
      dropped: plan.report.dropped.map { .init(path: $0.path, what: $0.what) },
      tied: plan.report.tied.map { .init(key: $0.key, kept: $0.kept) },
      copied: plan.report.copied, lost_metadata: plan.report.lostMetadata,
      carried: plan.carried.map(\.name),
      plain: Dictionary(changed.map { ($0.path, $0.what) }) { first, _ in first },
      separated: separated,
      files: (plan.carried + plan.files).map { .init(name: $0.name, bytes: $0.byteCount) },
      bytes: bytes
    ).show(common)
  }
}

struct ConvertCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "convert",
    abstract: "Write a checkpoint in another format, and with --to-dtype in another dtype.")

  @Argument(help: "The checkpoint.") var file: String
  @Option(help: "Where in the file the state dict is: keys joined by /.") var at: String?
  @Option(help: "What floating-point tensors become, such as bfloat16 (or bf16).")
  var toDtype: String?
  @OptionGroup(title: "Which tensors are written") var selection: SelectionOptions
  @OptionGroup(title: "Which of them --to-dtype casts") var cast: CastOptions
  @OptionGroup var output: OutputOptions
  @OptionGroup var common: CommonOptions

  func planned(_ inputs: OpenInputs) throws -> PlannedOutput {
    try convert(
      file, of: inputs, at: at, dtype: toDtype.map { try SelectionOptions.dtype($0) },
      selection: selection, cast: cast, output: output, common: common)
  }
}

struct ShardCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "shard",
    abstract: "Write a checkpoint as shards and their index, as Hugging Face deals them out.")

  @Argument(help: "The checkpoint.") var file: String
  @Option(help: "Where in the file the state dict is: keys joined by /.") var at: String?
  @OptionGroup var output: OutputOptions
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if case .format(let format) = OutputName(output.output).ending, !format.isSharded {
      throw ValidationError(
        "shard writes a folder, and the name is a file's (\(Messages.line(output.output)))\n"
          + "such as -o DIR/, or -o DIR/model.safetensors.index.json")
    }
  }

  /// The output, which is a folder or the index in one.
  var folderOutput: OutputOptions {
    var output = output
    let name = output.output
    if !name.hasSuffix("/"), !name.hasSuffix(".index.json") { output.output = name + "/" }
    return output
  }

  func planned(_ inputs: OpenInputs) throws -> PlannedOutput {
    try convert(file, of: inputs, at: at, output: folderOutput, common: common)
  }
}

struct JoinCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "join",
    abstract: "Write a sharded checkpoint as one file, or the index of shards that have none.")

  @Argument(help: "The index, or the folder that it lies in.") var file: String
  @Flag(help: "Write the index of the shards in the folder; the shards stay as they are.")
  var indexOnly = false
  @OptionGroup var output: OutputOptions
  @OptionGroup var common: CommonOptions

  private struct IndexReport: Encodable {
    let folder, output: String
    let dry_run: Bool
    let tensors: Int
    let shards: [String]
    let bytes: Int
  }

  func run() throws {
    guard indexOnly else {
      let inputs = OpenInputs()
      return try convert(file, of: inputs, at: nil, output: output, common: common)
        .write(inputs.cancellation)
    }
    let index = try ShardSet(file, indexName: output.output)
    func show(_ bytes: Int) {
      if common.json {
        return showJSON(
          IndexReport(
            folder: file, output: output.output, dry_run: output.dryRun, tensors: index.tensorCount,
            shards: index.shards, bytes: bytes))
      }
      print(
        "\(index.tensorCount) tensors in \(index.shards.count) shards, \(bytesText(bytes)) "
          + "\(output.dryRun ? "would go" : "written") to \(output.output)")
    }
    // If the index already exists, there is nothing to do, so that a plan can be run again.
    if try !output.force && index.isThere() { return show(0) }
    try PlannedOutput(index.plan, output, common, show: show).write(Cancellation())
  }
}
