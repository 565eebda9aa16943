internal import ArgumentParser
internal import StateDictKit

struct StatsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "stats",
    abstract: "Tell of each tensor: min, max, mean, std, zeros, NaN, Inf.",
    discussion: """
      NaN and infinite elements are counted apart: min and max are of all that are not NaN, mean and std of the \
      finite ones. std is torch.std's, divided by the count less 1. Complex numbers count by their magnitude, \
      quantized ones by what they stand for.
      """)

  @Argument(help: "The checkpoint.") var file: String
  @Option(help: "Where in the file the state dict is: keys joined by /.") var at: String?
  @OptionGroup var selection: SelectionOptions
  @OptionGroup var page: PageOptions
  @OptionGroup var common: CommonOptions

  private struct Report: Encodable {
    struct Entry: Encodable {
      let key, dtype: String
      let shape: [Int]
      let elements: Int
      var min, max, mean, std, norm: Double?
      var zeros, nan, inf: Int?
    }
    let file, at: String
    /// Written when the report is printed.
    let tensors: [Entry] = []
    let total_elements, total_nan, total_inf: Int
  }

  func run() throws {
    let checkpoint = try Checkpoint(contentsOf: file)
    let at = try checkpoint.chosenPath(at)
    let stateDict = try selection.apply(to: checkpoint.stateDict(at: at), of: file)
    let found = try reading(stateDict.totalByteCount, common) { cancellation, progress in
      try StateDictStatistics(
        stateDict, withHistograms: page.html != nil, cancellation: cancellation, progress: progress)
    }
    try page.write { try found.writeHTML(title: file + (at == "/" ? "" : ", \(at)"), to: $0) }
    guard common.json else { return table(found, at) }
    try printJSON(report(found, at), listing: "tensors", found.entries.lazy.map(entry))
  }

  private func report(_ found: StateDictStatistics, _ at: String) -> Report {
    Report(
      file: file, at: at,
      total_elements: found.entries.reduce(0) { $0 + $1.tensor.elementCount },
      total_nan: found.entries.reduce(0) { $0 + ($1.statistics?.nanCount ?? 0) },
      total_inf: found.entries.reduce(0) { $0 + ($1.statistics?.infiniteCount ?? 0) })
  }

  private func entry(_ entry: StateDictStatistics.Entry) -> Report.Entry {
    let numbers = entry.statistics
    return Report.Entry(
      key: entry.key, dtype: entry.tensor.dtype.name, shape: entry.tensor.shape,
      elements: entry.tensor.elementCount, min: numbers?.min, max: numbers?.max,
      mean: numbers?.mean, std: numbers?.standardDeviation, norm: numbers?.norm,
      zeros: numbers?.zeroCount,
      nan: numbers?.nanCount, inf: numbers?.infiniteCount)
  }

  private func table(_ found: StateDictStatistics, _ at: String) {
    var rows = [["key", "dtype", "shape", "min", "max", "mean", "std", "zeros", "NaN", "Inf"]]
    for entry in found.entries {
      var row = [
        Messages.line(entry.key), entry.tensor.dtype.name, "\(entry.tensor.shape)",
      ]
      if let numbers = entry.statistics {
        row += [numbers.min, numbers.max, numbers.mean, numbers.standardDeviation].map(numberText)
        row += [numbers.zeroCount, numbers.nanCount, numbers.infiniteCount].map { "\($0)" }
      } else {
        row.append(entry.tensor.isMeta ? "meta" : "no numbers")
      }
      rows.append(row)
    }
    Table.print(rows, rightAligned: Set(3...9))
    let numbers = found.entries.compactMap(\.statistics)
    print()
    print(
      "\(found.entries.count) tensors at \(Messages.line(at)), "
        + "\(numbers.reduce(0) { $0 + $1.nanCount }) NaN, "
        + "\(numbers.reduce(0) { $0 + $1.infiniteCount }) infinite")
  }
}
