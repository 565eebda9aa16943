internal import ArgumentParser
internal import StateDictKit

struct RepairCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "repair",
    abstract: "Save what is left of a truncated or damaged file.",
    discussion: """
      A zip archive is read without its directory, tensors whose bytes are all there are kept, and so is everything \
      else that can be read. What is lost is listed with the reason; exit status 1 if anything is. An intact file is \
      copied. What is written is always a part of the original, except for the zeros of --partial zeros.
      """)

  @Argument(help: "The damaged file, an index of shards, or the shards' folder.") var file: String
  @Option(
    help:
      "Tensors of which bytes are missing: drop leaves them out (default), zeros fills what is missing."
  )
  var partial: String?
  @Flag(
    help: ArgumentHelp(
      "Also keep what may be damaged.",
      discussion:
        "Storages that do not match their checksum, as they are, and what a damaged pickle says before its first error."
    ))
  var unverified = false
  @OptionGroup var output: OutputOptions
  @OptionGroup var common: CommonOptions

  private struct Report: Encodable {
    struct Tensor: Encodable {
      let path: String
      let dtype: String?
      let shape: [Int]?
      let reason: String

      init(_ loss: RepairedCheckpoint.Loss) {
        (path, dtype, shape, reason) = (loss.path, loss.dtype, loss.shape, loss.reason)
      }
    }
    let schema = 1
    let file, output, format: String
    let dry_run, intact, complete: Bool
    let problems: [String]
    let lost, filled, unverified: [Tensor]
    let names_lost: Bool
    let tensors: Int
    let plain: [String: String]
    let bytes: Int
  }

  func validate() throws {
    guard let partial, RepairOptions.PartialTensors(rawValue: partial) == nil else { return }
    let names = RepairOptions.PartialTensors.allCases.map(\.rawValue).joined(separator: ", ")
    throw ValidationError("--partial is one of \(names), not \"\(partial)\"")
  }

  func run() throws {
    let cancellation = Cancellation()
    let repaired = try repaired(cancellation)
    var checkpoint = repaired.checkpoint
    let place = output.extract ? try checkpoint.chosenPath(nil) : "/"
    let changed = try output.prepare(&checkpoint, at: place)
    let planned = try output.planned(checkpoint, common: common, carryingFilesOf: file) {
      show(repaired, changed, bytes: $0)
    }
    try planned.write(cancellation)
    if repaired.isIncomplete { throw NegativeAnswer() }
  }

  private func repaired(_ cancellation: Cancellation) throws -> RepairedCheckpoint {
    let watch = SignalWatch(cancellation, exitStatus: ExitStatus.of(.interrupted))
    defer { withExtendedLifetime(watch) {} }
    let bar = common.noProgress ? nil : ProgressBar(total: Folder.byteCount(ofFileAt: file) ?? 0)
    defer { bar?.finish() }
    var options = RepairOptions()
    options.partial = partial.flatMap(RepairOptions.PartialTensors.init(rawValue:)) ?? .drop
    options.keepsUnverified = unverified
    return try Checkpoint.repair(
      contentsOf: file, options: options, cancellation: cancellation,
      progress: { bar?.show($0) })
  }

  private func show(_ repaired: RepairedCheckpoint, _ changed: [PlainChange], bytes: Int) {
    guard !common.json else {
      return showJSON(
        Report(
          file: file, output: output.output, format: repaired.checkpoint.format.rawValue,
          dry_run: output.dryRun, intact: repaired.isIntact, complete: !repaired.isIncomplete,
          problems: repaired.problems, lost: repaired.lost.map(Report.Tensor.init),
          filled: repaired.filled.map(Report.Tensor.init),
          unverified: repaired.unverified.map(Report.Tensor.init),
          names_lost: repaired.lacksObjects, tensors: repaired.tensorCount,
          plain: Dictionary(changed.map { ($0.path, $0.what) }) { first, _ in first },
          bytes: bytes))
    }
    for problem in repaired.problems { print("damaged: \(Messages.line(problem))") }
    let kinds = [
      ("lost", repaired.lost), ("zeros", repaired.filled), ("unverified", repaired.unverified),
    ]
    let rows = kinds.flatMap { kind, losses in
      losses.map { loss in
        [
          kind, Messages.line(loss.path), loss.dtype ?? "",
          loss.shape.map { "[\($0.map { "\($0)" }.joined(separator: ", "))]" } ?? "",
          Messages.line(loss.reason),
        ]
      }
    }
    if !rows.isEmpty { Table.print([["", "path", "dtype", "shape", "why"]] + rows) }
    let counts = kinds.filter { !$0.1.isEmpty }.map { ", \($0.1.count) \($0.0)" }.joined()
    print(
      (repaired.isIntact ? "intact: " : "saved: ") + "\(repaired.tensorCount) tensors\(counts), "
        + "\(bytesText(bytes)) \(output.dryRun ? "would go" : "written") to \(output.output)")
  }
}
