internal import CkptBytes
internal import ArgumentParser
internal import Foundation
internal import StateDictKit

/// The `ckpt` command, without the process.
public enum CommandLineTool {
  /// Runs the command given by `arguments`, which do not include the program's name.
  ///
  /// - Returns: the exit status of sysexits(3); errors have been printed to stderr.
  public static func run(_ arguments: [String]) -> Int32 {
    do {
      try CommandCall(arguments).run()
      return 0
    } catch is NegativeAnswer {
      return 1
    } catch let error as any Diagnostic {
      return fail(
        error.description, excerpt: error.excerpt, hint: error.optionHint,
        status: ExitStatus.of(error.kind))
    } catch {
      let text = Ckpt.fullMessage(for: error)
      guard Ckpt.exitCode(for: error).isSuccess else {
        let lines = Ckpt.message(for: error).split(separator: "\n").map(String.init)
        return fail(
          lines.first ?? "the arguments make no sense",
          hint: lines.dropFirst().first ?? "\"ckpt help\" lists the commands and their options",
          status: ExitStatus.of(.usage))
      }
      print(text)
      return 0
    }
  }

  private static func fail(
    _ what: String, excerpt: Excerpt? = nil, hint: String?, status: Int32
  ) -> Int32 {
    Messages.write("ckpt: error: " + Messages.line(what))
    if let excerpt {
      Messages.write("  " + Messages.line(excerpt.text))
      Messages.write("  " + String(repeating: " ", count: excerpt.position) + "^")
    }
    if let hint { Messages.write("  " + Messages.line(hint)) }
    return status
  }
}

/// Messages on stderr.
enum Messages {
  static func write(_ text: String) {
    FileHandle.standardError.write(Data((text + "\n").utf8))
  }

  static func warn(_ text: String) { write("ckpt: warning: " + line(text)) }

  /// The text on one line, without control characters.
  static func line(_ text: String) -> String {
    if text.utf8.allSatisfy({ (32..<127).contains($0) }) { return text }
    return String(
      String.UnicodeScalarView(
        text.unicodeScalars.map { $0.value < 32 || (127..<160).contains($0.value) ? " " : $0 }))
  }
}

/// An error in the command line.
struct UsageError: Diagnostic {
  let description: String
  let remedies: [Remedy]
  var kind: DiagnosticKind { .usage }

  init(description: String, hint: String? = nil) {
    self.description = description
    remedies = hint.map { [Remedy($0)] } ?? []
  }
}

/// The error for a command that succeeded with a negative result, which has been printed.
struct NegativeAnswer: Error {}

/// An error about the contents of the inputs.
struct InputError: Diagnostic {
  let description: String
  let remedies: [Remedy]
  let kind: DiagnosticKind

  init(description: String, hint: String? = nil, kind: DiagnosticKind = .badInput) {
    self.description = description
    self.kind = kind
    remedies = hint.map { [Remedy($0)] } ?? []
  }
}

struct Ckpt: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ckpt",
    abstract:
      "Look at, cut, rename and merge neural networks' checkpoints, running nothing in them.",
    version: "0.1.0",
    subcommands: commands.map { $0 })

  /// All commands, each with declarations of its options.
  static let commands: [any CheckedCommand.Type] = [
    ListCommand.self, ShowCommand.self, FilterCommand.self, RenameKeysCommand.self,
    MergeCommand.self, CheckCommand.self, RecipesCommand.self, RewriteCommand.self,
    GetCommand.self, SetCommand.self, DropCommand.self,
    ScanCommand.self, VerifyCommand.self, RepairCommand.self, FinetuneCommand.self,
    PredictCommand.self,
    EvaluateCommand.self,
    StatsCommand.self, DiffCommand.self, HashCommand.self, CompactCommand.self,
    ConvertCommand.self, FoldCommand.self, ShardCommand.self, JoinCommand.self,
    PlanCommand.self,
  ]
}

/// A size in bytes as text.
func bytesText(_ count: Int) -> String {
  guard count >= 1000 else { return "\(count) B" }
  var (value, unit) = (Double(count), "B")
  for next in ["kB", "MB", "GB", "TB"] where value >= 1000 {
    value /= 1000
    unit = next
  }
  let tenths = Int(saturating: (value * 10).rounded())
  return "\(tenths / 10).\(tenths % 10) \(unit)"
}
