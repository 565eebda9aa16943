import CkptCommands
import CkptTestSupport
import Foundation
import Testing

/// What `ckpt` prints, held against the texts in `Snapshots/`.
///
/// A snapshot is a session: lines that begin with `$ ckpt` and below each what the command printed. To pin another
/// call, write its `$ ckpt` line into a snapshot and run `make snapshots`, which fills in the rest; look at the
/// difference before it is committed.
@Suite("Snapshots")
struct SnapshotTests {
  static let folder = URL(filePath: #filePath).deletingLastPathComponent()
    .appending(path: "Snapshots")

  static let names: [String] = {
    let all = try? FileManager.default.contentsOfDirectory(atPath: folder.path)
    return (all ?? []).filter { $0.hasSuffix(".txt") }.sorted()
  }()

  @Test(arguments: names)
  func `Commands print what the snapshot says`(_ name: String) throws {
    let file = Self.folder.appending(path: name)
    let wanted = try String(contentsOf: file, encoding: .utf8)
    let found = try Session(commands: wanted).transcript()
    guard found != wanted else { return }
    if ProcessInfo.processInfo.environment["CKPT_WRITE_SNAPSHOTS"] == "1" {
      try Data(found.utf8).write(to: file)
      Issue.record("\(name) was written anew; look at the difference")
    } else {
      let difference = Self.firstDifference(found, wanted)
      Issue.record("\(name): \(difference); `make snapshots` writes what is printed now")
    }
  }

  @Test func `The help of every command is pinned`() throws {
    let help = try String(contentsOf: Self.folder.appending(path: "help.txt"), encoding: .utf8)
    let pinned = Set(
      help.split(separator: "\n").filter { $0.hasPrefix("$ ckpt help ") }.map { $0.dropFirst(12) })
    #expect(pinned == Self.commands)
  }

  @Test func `The calls of every command are pinned`() throws {
    var called = Set<Substring>()
    for name in Self.names where name != "help.txt" {
      let text = try String(contentsOf: Self.folder.appending(path: name), encoding: .utf8)
      for line in text.split(separator: "\n") where line.hasPrefix("$ ckpt ") {
        called.insert(line.dropFirst(7).prefix { $0 != " " })
      }
    }
    #expect(Self.commands.subtracting(called).isEmpty)
  }

  /// All commands; the options of `plan` are those of the command that it plans.
  private static let commands = Set(OptionCatalogue.all.map { $0.command[...] }).union(["plan"])

  /// The first line in which two texts differ, in both.
  private static func firstDifference(_ found: String, _ wanted: String) -> String {
    let pairs = [found, wanted].map { $0.split(separator: "\n", omittingEmptySubsequences: false) }
    let count = zip(pairs[0], pairs[1]).prefix { $0 == $1 }.count
    let lines = pairs.map { count < $0.count ? String($0[count]) : "the end" }
    return "line \(count + 1) is \"\(lines[0])\", not \"\(lines[1])\""
  }
}

/// Commands that run one after another in a folder of their own, and what they print.
private struct Session {
  /// The lines that name the commands; comments between them stay.
  let lines: [String]

  /// Takes the commands from an earlier transcript.
  init(commands transcript: String) {
    lines = transcript.split(separator: "\n").map(String.init)
      .filter { $0.hasPrefix("$ ckpt") || $0.hasPrefix("# ") }
  }

  /// Runs the commands: each with its stdout, its stderr in lines that begin with `! `, and its status unless it is 0.
  func transcript() throws -> String {
    let folder = try TemporaryFolder()
    var result = ""
    var isAfterComment = true
    for line in lines {
      result += (isAfterComment ? "" : "\n") + line + "\n"
      isAfterComment = line.hasPrefix("# ")
      guard !isAfterComment else { continue }
      let words = Self.words(in: line.dropFirst(2))
      for word in words { try Self.bring(word, to: folder) }
      let (output, error, status) = try Self.run(Array(words.dropFirst()), in: folder)
      result += output
      for text in error.split(separator: "\n", omittingEmptySubsequences: false).dropLast() {
        result += "! \(text)\n"
      }
      if status != 0 { result += "[\(status)]\n" }
    }
    return result
  }

  /// A line's words; single quotes hold spaces together.
  private static func words(in line: Substring) -> [String] {
    var words: [String] = []
    for (number, part) in line.split(separator: "'", omittingEmptySubsequences: false).enumerated()
    {
      if number.isMultiple(of: 2) {
        words += part.split(separator: " ").map(String.init)
      } else {
        words.append(String(part))
      }
    }
    return words
  }

  /// Copies a fixture that a word names to the same place in the folder.
  private static func bring(_ word: String, to folder: TemporaryFolder) throws {
    let source = Fixtures.path(word), target = folder.file(word)
    guard word.first?.isLetter == true, FileManager.default.fileExists(atPath: source),
      !FileManager.default.fileExists(atPath: target)
    else { return }
    try FileManager.default.createDirectory(
      at: URL(filePath: target).deletingLastPathComponent(), withIntermediateDirectories: true)
    try FileManager.default.copyItem(atPath: source, toPath: target)
  }

  private static func run(_ arguments: [String], in folder: TemporaryFolder) throws -> (
    output: String, error: String, status: Int32
  ) {
    let process = Process()
    process.executableURL = executable
    process.arguments = arguments
    process.currentDirectoryURL = URL(filePath: folder.path)
    // Its own counts of lines would be a file of a megabyte for each command.
    process.environment = ProcessInfo.processInfo.environment.merging(
      ["COLUMNS": "80", "TZ": "UTC", "LC_ALL": "C", "LLVM_PROFILE_FILE": "/dev/null"]) { $1 }
    process.standardInput = FileHandle.nullDevice
    let files = try ["stdout", "stderr"].map { try folder.write([], to: ".\($0)") }
    process.standardOutput = try FileHandle(forWritingTo: URL(filePath: files[0]))
    process.standardError = try FileHandle(forWritingTo: URL(filePath: files[1]))
    try process.run()
    process.waitUntilExit()
    let texts = try files.map { file in
      String(decoding: try contents(of: file), as: UTF8.self)
        .replacing(executable.path(percentEncoded: false), with: "ckpt")
    }
    return (texts[0], texts[1], process.terminationStatus)
  }

  /// The command, which was built beside the tests.
  private static let executable: URL = {
    let bundle = Bundle.allBundles.first { $0.bundlePath.hasSuffix(".xctest") }?.bundleURL
    let folder = bundle?.deletingLastPathComponent() ?? Bundle.main.bundleURL
    return folder.appending(path: "ckpt")
  }()
}
