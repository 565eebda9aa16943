internal import ArgumentParser
internal import StateDictKit

struct HashCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "hash",
    abstract: "Print a digest of the state dict's content, whatever the file's format and order.",
    discussion: """
      SHA-256 over keys, dtypes, shapes and values, so that equal digests mean equal state dicts. \
      docs/inspection.md has the ten lines of Python that give the same.
      """)

  @Argument(help: "The checkpoint.") var file: String
  @Option(help: "Where in the file the state dict is: keys joined by /.") var at: String?
  @Flag(help: "Print a digest of each tensor, too.") var each = false
  @OptionGroup var selection: SelectionOptions
  @OptionGroup var common: CommonOptions

  private struct Report: Encodable {
    struct Entry: Encodable {
      let key, sha256: String
    }
    let file, at, sha256: String
    let tensors: [Entry]?
    let left_out: [String]
  }

  func run() throws {
    let checkpoint = try Checkpoint(contentsOf: file)
    let at = try checkpoint.chosenPath(at)
    let stateDict = try selection.apply(to: checkpoint.stateDict(at: at), of: file)
    let found = try reading(stateDict.totalByteCount, common) { cancellation, progress in
      try StateDictDigest(stateDict, cancellation: cancellation, progress: progress)
    }
    for key in found.leftOut {
      Messages.warn("\(key) is no tensor or too large to be told, and not hashed")
    }
    guard !common.json else {
      return try printJSON(
        Report(
          file: file, at: at, sha256: "\(found.digest)",
          tensors: each
            ? found.entries.map { .init(key: $0.key, sha256: "\($0.digest)") } : nil,
          left_out: found.leftOut))
    }
    if each {
      for entry in found.entries { print("\(entry.digest)  \(Messages.line(entry.key))") }
    }
    print("\(found.digest)  \(Messages.line(file))")
  }
}
