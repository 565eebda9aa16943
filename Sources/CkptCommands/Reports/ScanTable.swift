internal import StateDictKit

/// What `scan` prints for people.
enum ScanTable {
  static func print(_ report: ScanReport) {
    let (quiet, told) = report.files.reduce(into: ([FileScan](), [FileScan]())) {
      isQuiet($1) && report.files.count > 1 ? $0.0.append($1) : $0.1.append($1)
    }
    for file in told {
      if report.files.count > 1 { CkptCommands.print("\(Messages.line(file.file)):") }
      print(file)
      if report.files.count > 1 { CkptCommands.print() }
    }
    guard report.files.count > 1 else { return }
    if !quiet.isEmpty {
      var rows = [["verdict", "file", "why"]]
      for file in quiet {
        rows.append([file.verdict.rawValue, Messages.line(file.file), why(file)])
      }
      Table.print(rows)
      CkptCommands.print()
    }
    let counts = GlobalRating.allCases.reversed().map { rating in
      "\(report.files.count { $0.verdict == rating }) \(rating.rawValue)"
    }
    CkptCommands.print(
      "\(report.verdict.rawValue): \(report.files.count) files, \(counts.joined(separator: ", "))")
  }

  /// Whether a line is enough for a file.
  private static func isQuiet(_ file: FileScan) -> Bool {
    file.verdict == .safe && file.findings.isEmpty
  }

  private static func why(_ file: FileScan) -> String {
    if file.pickleCount > 0 {
      return "\(file.globals.count) safe names in \(counted(file.pickleCount, "pickle"))"
    }
    if let skipped = file.skipped.first { return "not scanned: \(Messages.line(skipped.why))" }
    return "its format, or what is in it, holds no pickle"
  }

  private static func counted(_ count: Int, _ word: String) -> String {
    "\(count) \(word)\(count == 1 ? "" : "s")"
  }

  private static func print(_ file: FileScan) {
    var rows = [["rating", "name", "", "in"]]
    for global in file.globals {
      var use = global.isCalled ? "called" : "named"
      if let reason = global.reason { use += ": " + Messages.line(reason) }
      rows.append([
        global.rating.rawValue, Messages.line(global.module + "." + global.name), use,
        Messages.line(global.pickle),
      ])
    }
    if rows.count > 1 { Table.print(rows) }
    for finding in file.findings {
      CkptCommands.print(
        "\(finding.rating.rawValue): \(Messages.line(finding.what))\(place(finding.place))")
    }
    for part in file.skipped where !part.isHarmless {
      CkptCommands.print("not looked into: \(Messages.line(part.why))\(place(part.what))")
    }
    let hasText = rows.count > 1 || !file.findings.isEmpty
    let skipped = file.skipped.count { !$0.isHarmless }
    let counts = GlobalRating.allCases.reversed().map { rating in
      "\(file.globals.count { $0.rating == rating }) \(rating.rawValue)"
    }
    if hasText || skipped > 0 { CkptCommands.print() }
    var end = "\(file.verdict.rawValue): "
    if file.pickleCount == 0, file.globals.isEmpty {
      end += "it holds no pickle"
    } else {
      end += "\(counts.joined(separator: ", ")) in \(counted(file.pickleCount, "pickle"))"
    }
    if skipped > 0 { end += "; \(counted(skipped, "part")) not looked into" }
    CkptCommands.print(end)
  }

  private static func place(_ place: String) -> String {
    place.isEmpty ? "" : " (\(Messages.line(place)))"
  }
}
