internal import ArgumentParser
internal import StateDictKit

struct CompactCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compact",
    abstract: "Shrink storages to what is in use; everything else stays.",
    discussion: """
      A slice that was saved drags the whole storage along that it was cut from. Views that overlap stay on one \
      storage, tied weights stay tied.
      """)

  @Argument(help: "The checkpoint.") var file: String
  @OptionGroup var output: OutputOptions
  @OptionGroup var common: CommonOptions

  private struct Report: Encodable {
    struct Shrunk: Encodable {
      let path: String
      let tensors, before, after: Int
    }
    let file, output: String
    let dry_run: Bool
    let storages: [Shrunk]
    let storage_bytes_before, storage_bytes_after, saved: Int
    let plain: [String: String]
    let bytes: Int
  }

  func planned(_ inputs: OpenInputs) throws -> PlannedOutput {
    var checkpoint = try inputs.take(file)
    let place = output.extract ? try checkpoint.chosenPath(nil) : "/"
    // Objects that are not written need not be compacted.
    let changed = try output.prepare(&checkpoint, at: place)
    let report = try checkpoint.compact()
    return try output.planned(checkpoint, common: common) { show(report, changed, bytes: $0) }
  }

  private func show(_ report: CompactReport, _ changed: [PlainChange], bytes: Int) {
    guard !common.json else {
      return showJSON(
        Report(
          file: file, output: output.output, dry_run: output.dryRun,
          storages: report.shrunk.map {
            .init(path: $0.path, tensors: $0.tensorCount, before: $0.before, after: $0.after)
          },
          storage_bytes_before: report.before, storage_bytes_after: report.after,
          saved: report.saved,
          plain: Dictionary(changed.map { ($0.path, $0.what) }) { first, _ in first },
          bytes: bytes))
    }
    var rows = [["storage of", "tensors", "before", "after"]]
    for storage in report.shrunk {
      rows.append([
        Messages.line(storage.path), "\(storage.tensorCount)", bytesText(storage.before),
        bytesText(storage.after),
      ])
    }
    if rows.count > 1 {
      Table.print(rows, rightAligned: [1, 2, 3])
      print()
    }
    print(
      "\(bytesText(report.saved)) saved of \(bytesText(report.before)) in storages, "
        + "\(bytesText(bytes)) \(output.dryRun ? "would go" : "written") to \(output.output)")
  }
}
