internal import CkptBytes
internal import ArgumentParser
internal import StateDictKit

/// The `ckpt` command.
public enum CommandLineTool {
  /// Runs the command as a process, with its arguments and standard streams.
  ///
  /// - Returns: the exit status of sysexits(3); errors have been printed to stderr.
  public static func runProcess() -> Int32 {
    do throws(FileError) {
      let status = try run(ProcessStart.arguments())
      if StandardOutput.isClosedPipe { ProcessStart.endByClosedPipe() }
      return status
    } catch {
      return fail(error)
    }
  }

  /// Runs the command given by `arguments`, which do not include the program's name.
  ///
  /// - Returns: the exit status of sysexits(3); errors have been printed to stderr.
  public static func run(_ arguments: [String]) -> Int32 {
    StandardOutput.begin()
    let status = answer(to: arguments)
    StandardOutput.flush()
    // After another error, it remains the only one.
    guard let failure = StandardOutput.failure, status == 0 || status == 1 else { return status }
    let failed = ExitStatus.of(.inputOutput)
    guard !failure.isClosedPipe else { return failed }
    return fail("cannot write to standard output: \(failure.reason)", hint: nil, status: failed)
  }

  private static func answer(to arguments: [String]) -> Int32 {
    do {
      try CommandCall(arguments).run()
      return 0
    } catch is NegativeAnswer {
      return 1
    } catch let error as any Diagnostic {
      return fail(error)
    } catch {
      let text = Ckpt.fullMessage(for: error)
      guard Ckpt.exitCode(for: error).isSuccess else {
        let lines = Ckpt.message(for: error).split(separator: "\n").map(String.init)
        return fail(
          lines.first ?? "the arguments make no sense",
          hint: lines.dropFirst().first ?? "\"ckpt help\" lists the commands and their options",
          status: ExitStatus.of(.usage))
      }
      printDocument(text)
      return 0
    }
  }

  private static func fail(_ error: any Diagnostic) -> Int32 {
    fail(
      error.description, excerpt: error.excerpt, hint: error.optionHint,
      status: ExitStatus.of(error.kind))
  }

  private static func fail(
    _ what: String, excerpt: Excerpt? = nil, hint: String?, status: Int32
  ) -> Int32 {
    Messages.write("ckpt: error: " + what)
    if let excerpt {
      // The mark is moved by what is escaped before it.
      let before = String(excerpt.text.unicodeScalars.prefix(excerpt.position))
      let column = Messages.line(before).unicodeScalars.count
      Messages.write("  " + excerpt.text)
      Messages.write("  " + String(repeating: " ", count: column) + "^")
    }
    if let hint { Messages.write("  " + hint) }
    return status
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
