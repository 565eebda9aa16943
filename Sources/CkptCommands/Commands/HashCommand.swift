internal import ArgumentParser
internal import StateDictKit

struct HashCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "hash",
    abstract: "Print a digest of the state dict's content, whatever the file's format and order.",
    discussion: """
      SHA-256 over keys, dtypes, shapes and values, so that equal digests mean equal state dicts. \
      docs/inspection.md has the ten lines of Python that give the same. With --manifest, the SHA-256 \
      of every file and of every tensor in it, as the package model-signing signs it, which verify \
      --manifest checks.
      """)

  @Argument(help: "The checkpoint; with --manifest a folder, or files.") var files: [String]
  @Option(help: "Where in the file the state dict is: keys joined by /.") var at: String?
  @Flag(help: "Print a digest of each tensor, too.") var each = false
  @Flag(help: "Write a manifest of the files and their tensors, in JSON.") var manifest = false
  @Option(
    name: .shortAndLong, help: "Where the manifest is written; on stdout if not given.")
  var output: String?
  @Flag(help: "Replace what -o writes if it exists.") var force = false
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

  func validate() throws {
    guard manifest || files.count == 1 else {
      throw ValidationError("one file is hashed; --manifest takes several")
    }
  }

  func run() throws {
    guard !manifest else { return try writeManifest() }
    let file = files[0]
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

  // MARK: - Manifests

  private struct ManifestSummary: Encodable {
    let manifest: String
    let files, tensors: Int
    /// Files that look like checkpoints and cannot be read, of which only the bytes are hashed.
    let unread: [String]
  }

  private func writeManifest() throws {
    // Whether it can be written is known before anything is read; a file that has a name until then
    // would be listed.
    if let output { _ = try AtomicOutput(path: output, replacingExisting: force) }
    let (manifest, unread) = try reading(0, common) { cancellation, progress in
      try ModelManifest.make(
        of: files, storedAt: output, cancellation: cancellation, progress: progress)
    }
    for problem in unread {
      Messages.warn("only the file's bytes are hashed: \(Messages.line(problem))")
    }
    let text = manifest.text()
    guard let output else {
      return printDocument(String(decoding: text, as: UTF8.self), terminator: "")
    }
    let target = try AtomicOutput(path: output, replacingExisting: force)
    try target.file.write(text, at: 0)
    try target.commit()
    let tensors = manifest.contents.reduce(0) { $0 + $1.digests.count }
    guard !common.json else {
      return showJSON(
        ManifestSummary(
          manifest: output, files: manifest.resources.count, tensors: tensors, unread: unread))
    }
    print(
      "\(manifest.resources.count) files, \(tensors) tensors: \(Messages.line(output))")
  }
}
