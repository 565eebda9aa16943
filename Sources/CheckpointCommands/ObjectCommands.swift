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
    let (type, value) = try Checkpoint(file).value(at: at)
    guard common.json else { return print(value.text()) }
    let document = JSONValue.object([
      .init("at", .string(at)), .init("file", .string(file)), .init("type", .string(type)),
      .init("value", value),
    ])
    print(document.text(nonFiniteAsText: true))
  }
}

/// What `set` and `drop` did, for people and for scripts.
private struct ChangeReport: Encodable {
  let file, at, output: String
  let before, after: String?
  let dry_run: Bool
  let plain: [String: String]
  let bytes: Int
}

private func change(
  _ file: String, at: String, output: OutputOptions, common: CommonOptions,
  _ body: (inout Checkpoint) throws -> ObjectChange
) throws {
  var checkpoint = try Checkpoint(file)
  // Found first: what is changed may be the state dict itself.
  let place = output.extract ? try checkpoint.stateDictPath() : "/"
  let change = try body(&checkpoint)
  let changed = try output.prepare(&checkpoint, at: place)
  let bytes = try output.write(checkpoint, common: common)
  guard !common.json else {
    return try printJSON(
      ChangeReport(
        file: file, at: at, output: output.output, before: change.before, after: change.after,
        dry_run: output.dryRun,
        plain: Dictionary(changed.map { ($0.path, $0.what) }) { first, _ in first }, bytes: bytes))
  }
  let what = "\(change.before ?? "nothing") -> \(change.after ?? "nothing")"
  print(
    Messages.line("\(at): \(what), ")
      + "\(bytesText(bytes)) \(output.dryRun ? "would go" : "written") to \(output.output)")
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

  func run() throws {
    let value = try JSONValue(parsing: value)
    try change(file, at: at, output: output, common: common) { checkpoint in
      try checkpoint.setValue(at: at, to: value)
    }
  }
}

struct DropCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "drop", abstract: "Remove a value or a sub-tree; everything else stays.")

  @Argument(help: "The checkpoint.") var file: String
  @Option(help: "Which object: keys joined by /.") var at: String
  @OptionGroup var output: OutputOptions
  @OptionGroup var common: CommonOptions

  func run() throws {
    try change(file, at: at, output: output, common: common) { checkpoint in
      try checkpoint.removeValue(at: at)
    }
  }
}
