internal import ArgumentParser
internal import StateDictKit

struct VerifyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Check that a file is whole: container, checksums, pickle, every tensor's bounds.",
    discussion: "Exit status 1 if something is damaged.")

  @Argument(help: "The checkpoint.") var file: String
  @OptionGroup var common: CommonOptions

  func run() throws {
    let report = try integrity()
    if common.json {
      try printJSON(Report(file: file, report))
    } else {
      show(report)
    }
    if !report.isIntact { throw NegativeAnswer() }
  }

  /// Reads the whole file.
  private func integrity() throws -> IntegrityReport {
    let cancellation = Cancellation()
    let watch = SignalWatch(cancellation)
    defer { withExtendedLifetime(watch) {} }
    let bar = common.noProgress ? nil : ProgressBar(total: (try? File(readingFrom: file).size) ?? 0)
    defer { bar?.finish() }
    return try IntegrityReport(
      file, cancellation: cancellation, progress: { bar?.advance(by: $0) })
  }

  private struct Report: Encodable {
    struct Problem: Encodable {
      let problem: String
      let record, key: String?
    }
    let file: String
    let format: String?
    let intact: Bool
    let records, bytes, tensors: Int
    let without_checksum: [String]
    let problems: [Problem]

    init(file: String, _ report: IntegrityReport) {
      self.file = file
      format = report.format?.rawValue
      intact = report.isIntact
      records = report.recordCount
      bytes = report.byteCount
      tensors = report.tensorCount
      without_checksum = report.unrecorded
      problems = report.problems.map {
        Problem(problem: $0.description, record: $0.record, key: $0.key)
      }
    }
  }

  private func show(_ report: IntegrityReport) {
    for problem in report.problems {
      let key = problem.key.map { ", tensor \(Messages.line($0))" } ?? ""
      print("damaged: \(Messages.line(problem.description))\(key)")
    }
    if !report.unrecorded.isEmpty {
      print(
        "\(report.unrecorded.count) records have no checksum recorded; only their sizes were checked"
      )
    }
    let counts =
      "\(report.recordCount) records, \(report.tensorCount) tensors, \(bytesText(report.byteCount))"
    print((report.isIntact ? "intact: " : "\(report.problems.count) damaged: ") + counts)
  }
}
