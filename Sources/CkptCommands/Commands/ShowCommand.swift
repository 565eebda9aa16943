internal import ArgumentParser
internal import StateDictKit

struct ShowCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "show", abstract: "Show the whole object tree; nothing in it is run.")

  @Argument(help: "The checkpoint.") var file: String
  @Option(help: "Where to begin: keys joined by /.") var at = "/"
  @Option(help: "How deep to go.") var depth = 3
  @Option(help: "How many children of one object to list.") var limit = 1000
  @Flag(help: "Tell the names of the parameters that the optimizers number.")
  var optimizer = false
  @Option(help: "Print a record that lies beside the objects, such as a TorchScript module's code.")
  var record: String?
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if depth < 0 || limit < 0 { throw ValidationError("--depth and --limit are not negative") }
  }

  private struct Tree: Encodable {
    struct Line: Encodable {
      let path, type, value: String
      let same_as: String?
      let parameter: String?
      let hidden: Int
    }
    struct Record: Encodable {
      let name: String
      let bytes: Int
    }
    let file, format, at: String
    let objects: [Line]
    let metadata: [String: String]
    let records: [Record]
  }

  private struct RecordText: Encodable {
    let file, format, record, text: String
  }

  /// Prints a record's text, without control characters.
  private func show(_ record: String, of checkpoint: Checkpoint) throws {
    let text = try checkpoint.recordText(record)
    guard !common.json else {
      return try printJSON(
        RecordText(file: file, format: checkpoint.format.rawValue, record: record, text: text))
    }
    for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
      print(Messages.line(String(line)))
    }
  }

  func run() throws {
    let checkpoint = try Checkpoint(contentsOf: file)
    if let record { return try show(record, of: checkpoint) }
    let lines = try checkpoint.objectTree(at: at, depth: depth, limit: limit)
    var names: [String: String] = [:]
    if optimizer {
      let found = try OptimizerListing.all(of: checkpoint, at: nil)
      names = OptimizerListing.namesByPath(found)
      for listing in found.map(OptimizerListing.init) where listing.names == "unknown" {
        Messages.warn("\(listing.at): \(listing.naming)")
      }
    }
    if common.json {
      let objects = lines.map {
        Tree.Line(
          path: $0.path, type: $0.type, value: $0.summary, same_as: $0.sameAs,
          parameter: names[$0.path], hidden: $0.hiddenChildren)
      }
      let records = checkpoint.records.map { Tree.Record(name: $0.name, bytes: $0.byteCount) }
      return try printJSON(
        Tree(
          file: file, format: checkpoint.format.rawValue, at: at, objects: objects,
          metadata: Dictionary(checkpoint.metadata.map { ($0.key, $0.value) }) { first, _ in first
          },
          records: records))
    }
    for line in lines {
      var text = String(repeating: "  ", count: line.depth)
      if !line.step.isEmpty { text += Messages.line(line.step) + ": " }
      if let name = names[line.path] { text += "(" + Messages.line(name) + ") " }
      text += line.summary
      if let same = line.sameAs {
        text += " (the same as \(Messages.line(same)))"
      } else if line.hiddenChildren > 0 {
        text += " … \(line.hiddenChildren) inside"
      }
      print(text)
    }
    for (key, value) in checkpoint.metadata {
      let shown = value.count > 300 ? value.prefix(300) + "…" : value[...]
      print("metadata \(Messages.line(key)): \(Messages.line(String(shown)))")
    }
    guard at == "/" else { return }
    for (name, byteCount) in checkpoint.records {
      print("record \(Messages.line(name)): \(bytesText(byteCount))")
    }
  }
}
