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

  @Flag(help: "Leave out, or turn into plain data, what torch.load(weights_only=True) refuses.")
  var plain = false

  func validate() throws {
    if output == "-" {
      throw ValidationError("-o - is not supported: a checkpoint is written by position")
    }
    if output.isEmpty { throw ValidationError("-o needs the name of a file") }
    let isOther = output.hasSuffix(".safetensors") || output.hasSuffix(".index.json")
    guard format != nil || !isOther || Checkpoint.Format(forOutput: output) != .pytorchZip else {
      throw ValidationError("writing the format of \"\(output)\" is not supported yet")
    }
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

  /// Writes the checkpoint, unless this is a dry run; gives the number of bytes.
  ///
  /// - Parameter at: where its state dict is, for formats that hold nothing else; nil finds it.
  func write(
    _ checkpoint: Checkpoint, common: CommonOptions, at: String? = nil
  ) throws -> Int {
    let options = WriteOptions(
      format: format.flatMap(Checkpoint.Format.init(rawValue:)), at: extract ? "/" : at)
    let plan = try checkpoint.plan(writingTo: output, options: options)
    if dryRun {
      if !force, FileManager.default.fileExists(atPath: output) {
        Messages.warn("\(output) exists already; --force replaces it")
      }
      return plan.byteCount
    }
    let cancellation = Cancellation()
    let watch = SignalWatch(cancellation)
    defer { withExtendedLifetime(watch) {} }
    let bar = common.noProgress ? nil : ProgressBar(total: plan.byteCount)
    defer { bar?.finish() }
    return try plan.write(
      replacingExisting: force, verifying: !noVerify, cancellation: cancellation,
      progress: { bar?.advance(by: $0) })
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
