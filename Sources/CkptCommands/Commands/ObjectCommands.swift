internal import CkptText
internal import ArgumentParser
internal import StateDictKit

struct GetCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "get", abstract: "Print a value or a sub-tree of the object graph, as JSON.",
    discussion: """
      What it prints of numbers, text, lists and dicts, "ckpt set --value" takes. Objects with attributes are \
      printed like dicts, tensors by dtype and shape.
      """)

  @Argument(help: "The checkpoint.") var file: String
  @Option(help: "Which object: keys joined by /; / is the root.") var at: String
  @OptionGroup var common: CommonOptions

  func run() throws {
    let (type, value) = try Checkpoint(contentsOf: file).value(at: at)
    guard common.json else { return printDocument(value.text()) }
    let document = JSONValue.object([
      .init("at", .string(at)), .init("file", .string(file)), .init("type", .string(type)),
      .init("value", value),
    ])
    var style = JSONWriter.Style.readable
    style.nonFiniteAsText = true
    printDocument(document.text(style))
  }
}

/// The report of `set` and `drop`, as text and as JSON.
private struct ChangeReport: Encodable {
  struct Change: Encodable {
    let at: String
    let before, after: String?
  }
  let file, at, output: String
  /// The values of the first change; `changes` has all.
  let before, after: String?
  let changes: [Change]
  let dry_run: Bool
  let plain: [String: String]
  let bytes: Int
}

private func change(
  _ file: String, of inputs: OpenInputs, output: OutputOptions, common: CommonOptions,
  _ body: (inout Checkpoint) throws -> [ObjectChange]
) throws -> PlannedOutput {
  var checkpoint = try inputs.take(file)
  // The state dict is found first, because the change may affect it.
  let place = output.extract ? try checkpoint.chosenPath(nil) : "/"
  let changes = try body(&checkpoint)
  let plain = try output.prepare(&checkpoint, at: place)
  return try output.planned(checkpoint, common: common) { bytes in
    guard !common.json else {
      let all = changes.map {
        ChangeReport.Change(at: $0.path, before: $0.before, after: $0.after)
      }
      return showJSON(
        ChangeReport(
          file: file, at: all.first?.at ?? "/", output: output.output, before: all.first?.before,
          after: all.first?.after, changes: all, dry_run: output.dryRun,
          plain: Dictionary(plain.map { ($0.path, $0.what) }) { first, _ in first }, bytes: bytes))
    }
    for change in changes {
      let what = "\(change.before ?? "nothing") -> \(change.after ?? "nothing")"
      print(Messages.line("\(change.path): \(what)"))
    }
    print("\(bytesText(bytes)) \(output.dryRun ? "would go" : "written") to \(output.output)")
  }
}

struct SetCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "set",
    abstract: "Let a number, text, list or dict stand at a path; everything else stays.")

  @Argument(help: "The checkpoint.") var file: String
  @Option(help: "Where: keys joined by /, the last of which may be new.") var at: String
  @Option(
    parsing: .unconditional,
    help: "The value in JSON: 0, 0.1, true, null, '\"text\"', '[1, 2]', '{\"lr\": 0.1}'.")
  var value: String
  @OptionGroup var output: OutputOptions
  @OptionGroup var common: CommonOptions

  func planned(_ inputs: OpenInputs) throws -> PlannedOutput {
    let value = try JSONValue(parsing: value)
    return try change(file, of: inputs, output: output, common: common) { checkpoint in
      [try checkpoint.setValue(at: at, to: value)]
    }
  }
}

struct DropCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "drop", abstract: "Remove values or sub-trees; everything else stays.")

  @Argument(help: "The checkpoint.") var file: String
  @Option(help: "Which object: keys joined by /. Repeatable.") var at: [String]
  @OptionGroup var output: OutputOptions
  @OptionGroup var common: CommonOptions

  func planned(_ inputs: OpenInputs) throws -> PlannedOutput {
    try change(file, of: inputs, output: output, common: common) { checkpoint in
      try checkpoint.removeValues(at: at)
    }
  }
}
