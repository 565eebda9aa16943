internal import ArgumentParser
internal import StateDictKit

struct ScanCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "scan",
    abstract: "List every class and function that the file's pickles name, rated.",
    discussion: """
      safe: nothing but data can come of it. unknown: nobody here knows it; loading the file with pickle runs \
      its code. dangerous: it runs code or commands, or reaches what does. Exit status 1 if one is dangerous.
      """)

  @Argument(help: "The file: a checkpoint, or any zip archive or pickle.") var file: String
  @OptionGroup var common: CommonOptions

  private struct Report: Encodable {
    struct Global: Encodable {
      let module, name, rating, pickle: String
      let called: Bool
    }
    struct Problem: Encodable {
      let pickle, problem: String
    }
    let file, verdict: String
    let globals: [Global]
    let pickles: [String]
    let problems: [Problem]
  }

  func run() throws {
    let scan = try GlobalScan(file)
    if common.json {
      try printJSON(
        Report(
          file: file, verdict: scan.verdict.rawValue,
          globals: scan.globals.map {
            .init(
              module: $0.module, name: $0.name, rating: $0.rating.rawValue, pickle: $0.pickle,
              called: $0.isCalled)
          },
          pickles: scan.pickles,
          problems: scan.problems.map { .init(pickle: $0.pickle, problem: $0.what) }))
    } else {
      table(scan)
    }
    if scan.verdict == .dangerous { throw NegativeAnswer() }
    if let problem = scan.problems.first {
      throw InputError(description: "\(problem.what) (\(file), \(problem.pickle))")
    }
  }

  private func table(_ scan: GlobalScan) {
    var rows = [["rating", "name", "", "in"]]
    for global in scan.globals {
      rows.append([
        global.rating.rawValue, Messages.line(global.module + "." + global.name),
        global.isCalled ? "called" : "named", Messages.line(global.pickle),
      ])
    }
    if rows.count > 1 { Table.print(rows) }
    let count = scan.pickles.count
    let counts = GlobalRating.allCases.reversed().map { rating in
      "\(scan.globals.count { $0.rating == rating }) \(rating.rawValue)"
    }
    print(
      "\(rows.count > 1 ? "\n" : "")\(scan.verdict.rawValue): \(counts.joined(separator: ", ")) "
        + "in \(count) pickle\(count == 1 ? "" : "s")")
  }
}
