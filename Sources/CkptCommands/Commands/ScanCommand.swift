internal import ArgumentParser
internal import StateDictKit

struct ScanCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "scan",
    abstract:
      "Find out what loading files could do: every class and function that they name, rated.",
    discussion: """
      safe: nothing but data can come of it. unknown: nobody here knows it, or a part could not be looked into; \
      loading the file with pickle runs its code. dangerous: it runs code or commands, or reaches what does. \
      Archives in archives, compressed files, and all files of a folder are examined; what was not is listed. \
      Exit status 1 if the verdict is that of --fail-on or worse. docs/security.md shows how to get a clean file.
      """)

  @Argument(help: "Checkpoints, other archives or pickles, and folders.") var files: [String]
  @Option(
    help: ArgumentHelp(
      "The verdict that fails: unknown or dangerous.", valueName: "verdict"))
  var failOn = FailingVerdict.dangerous
  @Option(
    help: ArgumentHelp(
      "Names that are allowed: a file with \"module.name # reason\" in each line.",
      valueName: "file"))
  var allow: String?
  @Flag(help: "Print one SARIF 2.1.0 document, which tools for code reviews read.") var sarif =
    false
  @OptionGroup var common: CommonOptions

  enum FailingVerdict: String, ExpressibleByArgument, CaseIterable {
    case unknown, dangerous
  }

  func validate() throws {
    if files.isEmpty { throw ValidationError("a file is missing") }
    if sarif, common.json { throw ValidationError("--sarif is JSON of its own; leave out --json") }
  }

  func run() throws {
    let allowed = try allow.map { try AllowedGlobals(contentsOf: $0) }
    var report = ScanReport()
    var failures: [any Diagnostic] = []
    for file in files {
      do {
        report.add(try ScanReport(file))
      } catch let error as any Diagnostic {
        // The other files are scanned all the same; the worst status is that of the command.
        guard files.count > 1, error.kind != .interrupted else { throw error }
        Messages.write("ckpt: error: " + Messages.line(error.description))
        failures.append(error)
      }
    }
    if let allowed {
      for entry in report.allow(allowed) {
        Messages.warn(
          "\(entry.name) is allowed, but no file names it (\(allowed.path), line \(entry.line))")
      }
    }
    if sarif {
      try printJSON(SARIFLog(report))
    } else if common.json {
      try printJSON(ScanDocument(report))
    } else {
      ScanTable.print(report)
    }
    if report.verdict >= (failOn == .unknown ? .unknown : .dangerous) { throw NegativeAnswer() }
    if let failure = failures.max(by: {
      ExitStatus.of($0.kind) < ExitStatus.of($1.kind)
    }) {
      throw InputError(
        description: "\(failures.count) of \(files.count) files could not be scanned",
        kind: failure.kind)
    }
    if let file = report.files.first(where: \.isDamaged),
      let damage = file.findings.first(where: \.isDamage)
    {
      let place = damage.place.isEmpty ? file.file : "\(file.file), \(damage.place)"
      throw InputError(description: "\(damage.what) (\(place))")
    }
  }
}
