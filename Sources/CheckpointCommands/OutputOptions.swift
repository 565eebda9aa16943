internal import ArgumentParser
internal import Foundation
internal import StateDictKit
internal import Synchronization

/// What every command takes.
struct CommonOptions: ParsableArguments {
  @Flag(help: "Print one JSON document.")
  var json = false

  @Flag(help: "Draw no progress.")
  var noProgress = false
}

/// How a result is written.
struct OutputOptions: ParsableArguments {
  @Option(name: .shortAndLong, help: "Where to write.")
  var output: String

  @Option(help: "The format, if OUT's ending does not tell.")
  var format: String?

  @Flag(help: "Replace OUT if it exists.")
  var force = false

  @Flag(help: "Print what would be done; write nothing.")
  var dryRun = false

  @Flag(help: "Write the state dict alone, as the root.")
  var extract = false

  @Flag(help: "Take over the inputs' checksums unseen instead of comparing them on the way.")
  var noVerify = false

  @Option(help: "Tensors that share elements, in formats without sharing: keep-first, copy, error.")
  var ties = "keep-first"

  @Flag(help: "Leave out what is no tensor where the format holds tensors alone.")
  var dropObjects = false

  @Flag(help: "Write GGUF's quantized tensors as the 32-bit floats that they stand for.")
  var dequantize = false

  @Option(help: "How large a shard may be, such as 2GB (KB, MB, GB, TB); default 5GB.")
  var maxSize: ByteSize?

  @Option(help: "Write the shards of job I of N alone, without the index; see \"ckpt plan\".")
  var job: String?

  @Flag(help: "Leave out, or turn into plain data, what torch.load(weights_only=True) refuses.")
  var plain = false

  func validate() throws {
    if output == "-" {
      throw ValidationError("-o - is not supported: a checkpoint is written by position")
    }
    guard TiePolicy(rawValue: ties) != nil else {
      let names = TiePolicy.allCases.map(\.rawValue).joined(separator: ", ")
      throw ValidationError("--ties is one of \(names), not \"\(ties)\"")
    }
    if let job, OutputPart(job) == nil {
      throw ValidationError("--job is I/N, such as 2/8, not \"\(job)\"")
    }
    if output.isEmpty { throw ValidationError("-o needs the name of a file") }
    guard let format else { return }
    let names = Checkpoint.Format.writable.map(\.rawValue)
    guard names.contains(format) else {
      throw ValidationError(
        "the format \"\(format)\" is not written; there are: \(names.joined(separator: ", "))")
    }
  }

  /// Applies --extract and --plain; gives the places that --plain changed.
  func prepare(_ checkpoint: inout Checkpoint, at: String) throws -> [PlainChange] {
    if extract { try checkpoint.extract(at: at) }
    guard plain else { return [] }
    let changes = try checkpoint.makePlain()
    for change in changes { Messages.warn("--plain: \(change.path): \(change.what)") }
    return changes
  }

  /// How the checkpoint is written.
  ///
  /// - Parameter at: where its state dict is, for formats that hold nothing else; nil finds it.
  func options(at: String?) -> WriteOptions {
    var options = WriteOptions(
      format: format.flatMap(Checkpoint.Format.init(rawValue:)), at: extract ? "/" : at)
    options.ties = TiePolicy(rawValue: ties) ?? .keepFirst
    options.dropsObjects = dropObjects
    options.dequantizes = dequantize
    options.maxShardByteCount = maxSize?.count
    return options
  }

  /// Writes the checkpoint, unless this is a dry run; gives the number of bytes.
  ///
  /// - Parameter at: where its state dict is, for formats that hold nothing else; nil finds it.
  func write(
    _ checkpoint: Checkpoint, common: CommonOptions, at: String? = nil
  ) throws -> Int {
    let plan = try checkpoint.plan(writingTo: output, options: options(at: at))
    for (path, what) in plan.report.dropped { Messages.warn("left out: \(path): \(what)") }
    for (key, kept) in plan.report.tied { Messages.warn("tied: \(key) is \(kept), written once") }
    for key in plan.report.copied { Messages.warn("\(key) shared elements, and is a copy now") }
    for key in plan.report.lostMetadata { Messages.warn("left out: metadata \(key)") }
    return try write(plan, common: common)
  }

  /// Writes what is planned, unless this is a dry run; gives the number of bytes.
  func write(_ plan: OutputPlan, common: CommonOptions) throws -> Int {
    if JobPlanner.isPlanning { throw JobPlanner.Planned(plan: plan, path: output) }
    let part = job.flatMap { OutputPart($0) }
    if dryRun {
      if let part { return plan.shards(of: part).reduce(0) { $0 + $1.byteCount } }
      if !force, plan.replaces { Messages.warn("\(output) exists already; --force replaces it") }
      return plan.byteCount
    }
    let cancellation = Cancellation()
    let watch = SignalWatch(cancellation)
    defer { withExtendedLifetime(watch) {} }
    let bar = common.noProgress ? nil : ProgressBar(total: plan.byteCount)
    defer { bar?.finish() }
    if let part {
      return try plan.write(
        part, replacingExisting: force, verifying: !noVerify, cancellation: cancellation,
        progress: { bar?.advance(by: $0) })
    }
    return try plan.write(
      replacingExisting: force, verifying: !noVerify, cancellation: cancellation,
      progress: { bar?.advance(by: $0) })
  }
}

/// A number of bytes as huggingface_hub writes it: `5GB`, `500MB`, or digits alone; powers of 1000.
struct ByteSize: ExpressibleByArgument {
  let count: Int

  init?(argument: String) {
    let units = ["KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12]
    let unit = units[argument.suffix(2).uppercased()]
    let digits = unit == nil ? argument[...] : argument.dropLast(2)
    guard let number = Double(digits.trimmingCharacters(in: .whitespaces)), number > 0,
      number * (unit ?? 1) < 1e18
    else { return nil }
    count = max(1, Int(number * (unit ?? 1)))
  }
}

/// A line on the terminal's stderr that shows how far the work is, if it takes above a second.
final class ProgressBar: Sendable {
  private struct State {
    var done = 0
    var last: ContinuousClock.Instant
    var isDrawn = false
  }

  private let total: Int
  private let state: Mutex<State>

  /// Nil unless stderr is a terminal.
  init?(total: Int) {
    guard isatty(STDERR_FILENO) == 1, total > 0 else { return nil }
    self.total = total
    state = Mutex(State(last: .now + .milliseconds(900)))
  }

  func advance(by count: Int) {
    state.withLock { state in
      state.done += count
      let now = ContinuousClock.now
      guard now >= state.last + .milliseconds(100) else { return }
      state.last = now
      state.isDrawn = true
      let percent = min(100, Int(Double(state.done) / Double(total) * 100))
      FileHandle.standardError.write(
        Data("\r\(percent) %  \(bytesText(state.done)) of \(bytesText(total))   ".utf8))
    }
  }

  func finish() {
    state.withLock { state in
      if state.isDrawn {
        FileHandle.standardError.write(Data(("\r" + String(repeating: " ", count: 50) + "\r").utf8))
      }
    }
  }
}
