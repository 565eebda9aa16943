internal import ArgumentParser
internal import StateDictKit

/// What `filter` and `rename-keys` did, for people and for scripts.
private struct EditReport: Encodable {
  struct Rename: Encodable {
    let from, to: String
  }
  let file, at, output: String
  let dry_run: Bool
  let kept, dropped: [String]
  let renamed: [Rename]
  let plain: [String: String]
  let bytes: Int

  func show(_ common: CommonOptions) throws {
    if common.json { return try printJSON(self) }
    if dry_run {
      for key in dropped { print("drop    \(Messages.line(key))") }
      for change in renamed {
        print("rename  \(Messages.line(change.from)) -> \(Messages.line(change.to))")
      }
    }
    var parts: [String] = []
    let count = kept.count + dropped.count
    if count > 0 { parts.append("\(kept.count) of \(count) keys kept") }
    if !renamed.isEmpty { parts.append("\(renamed.count) renamed") }
    parts.append("\(bytesText(bytes)) \(dry_run ? "would go" : "written") to \(output)")
    print(parts.joined(separator: ", "))
  }
}

private func edit(
  _ file: String, at: String?, selection: SelectionOptions, renames: [KeyRename],
  output: OutputOptions, common: CommonOptions
) throws {
  var checkpoint = try Checkpoint(file)
  let place = try at ?? checkpoint.stateDictPath()
  let all = try checkpoint.stateDict(at: place)
  let kept = try selection.apply(to: all, of: file)
  let changes = try kept.renamed(renames)
  let result = try kept.renamingKeys(renames)
  if !renames.isEmpty, changes.isEmpty { Messages.warn("no key of \(file) changes its name") }
  var changed: [PlainChange] = []
  if checkpoint.format == .torchScript, output.extract {
    checkpoint = try Checkpoint(result)
    changed = try output.prepare(&checkpoint, at: "/")
  } else {
    try checkpoint.replaceStateDict(at: place, with: result)
    changed = try output.prepare(&checkpoint, at: place)
  }
  let names = Set(kept.keys.map { Array($0.utf8) })
  let dropped = all.keys.filter { !names.contains(Array($0.utf8)) }
  let bytes = try output.write(checkpoint, common: common, at: place)
  try EditReport(
    file: file, at: place, output: output.output, dry_run: output.dryRun, kept: kept.keys,
    dropped: dropped, renamed: changes.map { .init(from: $0.old, to: $0.new) },
    plain: Dictionary(changed.map { ($0.path, $0.what) }) { first, _ in first }, bytes: bytes
  ).show(common)
}

struct FilterCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "filter", abstract: "Keep the selected keys; everything else in the file stays.")

  @Argument(help: "The checkpoint.") var file: String
  @Option(help: "Where in the file the state dict is: keys joined by /.") var at: String?
  @OptionGroup var selection: SelectionOptions
  @OptionGroup var output: OutputOptions
  @OptionGroup var common: CommonOptions

  func run() throws {
    try edit(file, at: at, selection: selection, renames: [], output: output, common: common)
  }
}

struct RenameKeysCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rename-keys",
    abstract: "Rename keys, and the modules' metadata with them; rules apply in the order given.")

  @Argument(help: "The checkpoint.") var file: String
  @Option(help: "Where in the file the state dict is: keys joined by /.") var at: String?
  @OptionGroup var selection: SelectionOptions
  @OptionGroup var renames: RenameOptions
  @OptionGroup var output: OutputOptions
  @OptionGroup var common: CommonOptions

  func run() throws {
    let renames = try renames.renames()
    guard !renames.isEmpty else {
      throw UsageError(
        description: "no rule says how to rename", hint: "such as --strip-prefix module.")
    }
    try edit(file, at: at, selection: selection, renames: renames, output: output, common: common)
  }
}

struct RewriteCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rewrite", abstract: "Write any checkpoint anew, unchanged.", shouldDisplay: false)

  @Argument(help: "The checkpoint.") var file: String
  @OptionGroup var output: OutputOptions
  @OptionGroup var common: CommonOptions

  func run() throws {
    var checkpoint = try Checkpoint(file)
    let changed = try output.prepare(&checkpoint, at: "/")
    let bytes = try output.write(checkpoint, common: common)
    try EditReport(
      file: file, at: "/", output: output.output, dry_run: output.dryRun, kept: [], dropped: [],
      renamed: [], plain: Dictionary(changed.map { ($0.path, $0.what) }) { first, _ in first },
      bytes: bytes
    ).show(common)
  }
}
