internal import ArgumentParser
internal import StateDictKit

/// What `convert`, `shard` and `join` did, for people and for scripts.
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
  let copied, lost_metadata: [String]
  let plain: [String: String]
  let files: [File]
  let bytes: Int

  func show(_ common: CommonOptions) throws {
    if common.json { return try printJSON(self) }
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

/// The way of a checkpoint to another format.
private func convert(
  _ file: String, at: String?, dtype: ElementType?, selection: SelectionOptions?,
  output: OutputOptions, common: CommonOptions
) throws {
  var checkpoint = try Checkpoint(file)
  var place = try at ?? (output.extract ? checkpoint.stateDictPath() : nil)
  var tallies: [(key: String, tally: ConversionTally)] = []
  if let dtype {
    let at = try place ?? checkpoint.stateDictPath()
    place = at
    let stateDict = try checkpoint.stateDict(at: at)
    let selected = try selection?.apply(to: stateDict, of: file) ?? stateDict
    // As module.to(dtype): integers (counters, token ids) stay, unless --dtype asks for them.
    let onlyFloats = selection?.dtype.isEmpty != false
    let result = try stateDict.converting(to: dtype) { key, tensor in
      selected.value(for: key) != nil
        && (!onlyFloats || (tensor.elementType.isFloat && !tensor.elementType.isComplex))
    }
    tallies = result.tallies
    try checkpoint.replaceStateDict(at: at, with: result.stateDict)
  }
  let changed = try output.prepare(&checkpoint, at: place ?? "/")
  let plan = try checkpoint.plan(writingTo: output.output, options: output.options(at: place))
  let bytes = try output.write(plan, common: common)
  let losses = tallies.map { key, tally in
    ConvertReport.Loss(
      key: key, overflowed: tally.losses.overflowed, vanished: tally.losses.vanished)
  }
  try ConvertReport(
    file: file, at: place ?? (try? checkpoint.stateDictPath()) ?? "/",
    from_format: checkpoint.format.rawValue, output: output.output, format: plan.format.rawValue,
    dry_run: output.dryRun,
    tensors: try checkpoint.stateDict(at: output.extract ? "/" : place).tensors.count,
    converted: tallies.map(\.key), losses: losses.filter { $0.overflowed + $0.vanished > 0 },
    dropped: plan.report.dropped.map { .init(path: $0.path, what: $0.what) },
    tied: plan.report.tied.map { .init(key: $0.key, kept: $0.kept) }, copied: plan.report.copied,
    lost_metadata: plan.report.lostMetadata,
    plain: Dictionary(changed.map { ($0.path, $0.what) }) { first, _ in first },
    files: plan.files.map { .init(name: $0.name, bytes: $0.byteCount) }, bytes: bytes
  ).show(common)
}

struct ConvertCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "convert",
    abstract: "Write a checkpoint in another format, and with --to-dtype in another dtype.")

  @Argument(help: "The checkpoint.") var file: String
  @Option(help: "Where in the file the state dict is: keys joined by /.") var at: String?
  @Option(help: "What the selected tensors become, such as bfloat16.") var toDtype: String?
  @OptionGroup(title: "Which tensors --to-dtype converts") var selection: SelectionOptions
  @OptionGroup var output: OutputOptions
  @OptionGroup var common: CommonOptions

  func run() throws {
    try convert(
      file, at: at, dtype: toDtype.map { try SelectionOptions.elementType($0) },
      selection: selection, output: output, common: common)
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

  func run() throws {
    var output = output
    let isSharded = output.output.hasSuffix(".index.json")
    if output.format == nil, !isSharded {
      output.format = Checkpoint.Format.safetensorsIndex.rawValue
    }
    try convert(file, at: at, dtype: nil, selection: nil, output: output, common: common)
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
      return try convert(
        file, at: nil, dtype: nil, selection: nil, output: output, common: common)
    }
    let index = try ShardSet(file, indexName: output.output)
    // Written before: nothing is left to do, so that a plan can be run again.
    let isThere = try !output.force && index.isThere()
    let bytes = isThere ? 0 : try output.write(index.plan, common: common)
    if common.json {
      return try printJSON(
        IndexReport(
          folder: file, output: output.output, dry_run: output.dryRun, tensors: index.tensorCount,
          shards: index.shards, bytes: bytes))
    }
    print(
      "\(index.tensorCount) tensors in \(index.shards.count) shards, \(bytesText(bytes)) "
        + "\(output.dryRun ? "would go" : "written") to \(output.output)")
  }
}
