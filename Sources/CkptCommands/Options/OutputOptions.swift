internal import CkptBytes
internal import ArgumentParser
internal import Foundation
internal import StateDictKit
internal import Synchronization

/// The options of all commands.
struct CommonOptions: ParsableArguments {
  @Flag(help: "Print one JSON document.")
  var json = false

  @Flag(help: "Draw no progress.")
  var noProgress = false
}

/// Prints warnings about modules saved as objects whose hooks may change the state dict.
func warnOfHooks(_ checkpoint: Checkpoint, at place: String) throws {
  for module in try checkpoint.hookedModules(at: place).prefix(20) {
    let name = module.isEmpty ? "the module" : "the module \(module)"
    Messages.warn("\(name) has hooks, by which its code can change its state dict")
  }
}

/// Options for writing the result.
struct OutputOptions: ParsableArguments {
  @Option(
    name: .shortAndLong,
    help: ArgumentHelp(
      "Where to write.",
      discussion:
        "Its ending says in which format; without one, it stays the input's. DIR/ is a folder as Hugging Face's tools "
        + "read it."))
  var output: String

  @Option(help: "The format, whatever OUT's ending.")
  var format: String?

  @Flag(help: "Replace OUT if it exists.")
  var force = false

  @Flag(help: "Print what would be done; write nothing.")
  var dryRun = false

  @Flag(help: "Write the state dict alone, as the root.")
  var extract = false

  @Flag(help: "Take over the inputs' checksums unseen instead of comparing them on the way.")
  var noVerify = false

  @Option(
    help:
      "Tensors that share elements, in formats without sharing: keep-first (default), copy, error."
  )
  var ties: String?

  @Flag(help: "Leave out what is no tensor where the format holds tensors alone.")
  var dropObjects = false

  @Flag(help: "Write GGUF's quantized tensors as the 32-bit floats that they stand for.")
  var dequantize = false

  @Option(help: "How large a shard may be, such as 2GB (KB, MB, GB, TB); default 5GB.")
  var maxSize: ByteSize?

  @Option(help: "Write the shards of job I of N alone, without the index; see \"ckpt plan\".")
  var job: String?

  @Flag(help: "Leave config.json, tokenizer files and the like out of OUT if it is DIR/.")
  var noCarry = false

  @Flag(help: "Leave out, or turn into plain data, what torch.load(weights_only=True) refuses.")
  var plain = false

  func validate() throws {
    if output == "-" {
      throw ValidationError("-o - is not supported: a checkpoint is written by position")
    }
    if let ties, TiePolicy(rawValue: ties) == nil {
      let names = TiePolicy.allCases.map(\.rawValue).joined(separator: ", ")
      throw ValidationError("--ties is one of \(names), not \"\(ties)\"")
    }
    if let job, OutputPart(job) == nil {
      throw ValidationError("--job is I/N, such as 2/8, not \"\(job)\"")
    }
    if output.isEmpty { throw ValidationError("-o needs the name of a file") }
    guard let format else {
      if case .unknown(let ending, let nearest) = OutputName(output).ending {
        throw ValidationError(
          "the ending \(ending) means no format that is written (\(Messages.line(output)))\n"
            + "the nearest that does is \(nearest); --format says the format, whatever the ending")
      }
      return
    }
    let names = Checkpoint.Format.writable.map(\.rawValue)
    guard names.contains(format) else {
      throw ValidationError(
        "the format \"\(format)\" is not written; there are: \(names.joined(separator: ", "))")
    }
  }

  /// Replaces the state dict in its checkpoint, or extracts it with --extract, then applies
  /// --plain; prints which shared objects were copied.
  func put(
    _ stateDict: StateDict, into checkpoint: inout Checkpoint, at place: String
  ) throws -> (plain: [PlainChange], separated: [Separated]) {
    var separated: [SeparatedObject] = []
    try warnOfHooks(checkpoint, at: place)
    if !extract {
      separated = try checkpoint.replaceStateDict(at: place, with: stateDict)
    } else if try checkpoint.needsPlainDict(at: place) {
      checkpoint = try Checkpoint(stateDict)
    } else {
      try checkpoint.extract(at: place)
      try checkpoint.replaceStateDict(at: "/", with: stateDict)
    }
    return (try makePlain(&checkpoint), Self.tell(separated))
  }

  /// Prints which shared objects were copied.
  static func tell(_ separated: [SeparatedObject]) -> [Separated] {
    separated.map { object in
      let others = object.others.isEmpty ? "something else" : object.others.joined(separator: ", ")
      Messages.warn("\(object.path) was one object with \(others), which stays as it was")
      return Separated(at: object.path, from: object.others)
    }
  }

  /// A path whose object was shared with others, and their paths, as JSON.
  struct Separated: Encodable {
    let at: String
    let from: [String]
  }

  /// Applies --extract and --plain; returns the changes of --plain.
  func prepare(_ checkpoint: inout Checkpoint, at: String) throws -> [PlainChange] {
    if extract {
      try warnOfHooks(checkpoint, at: at)
      if try checkpoint.needsPlainDict(at: at) {
        checkpoint = try Checkpoint(checkpoint.stateDict(at: at))
      } else {
        try checkpoint.extract(at: at)
      }
    }
    return try makePlain(&checkpoint)
  }

  private func makePlain(_ checkpoint: inout Checkpoint) throws -> [PlainChange] {
    guard plain else { return [] }
    let changes = try checkpoint.makePlain()
    for change in changes { Messages.warn("--plain: \(change.path): \(change.what)") }
    return changes
  }

  /// Whether the output is a folder in Hugging Face's layout, not given by its index.
  var isModelFolder: Bool { OutputName(output).ending == .folder }

  /// Declares which of the options have an effect in this call.
  ///
  /// - Parameter input: the file whose format is used if neither the output's ending nor --format
  ///   determines one.
  /// - Returns: the format of the output.
  @discardableResult
  func declare(
    in use: inout OptionUse, keepingFormatOf input: String?
  ) throws -> Checkpoint.Format {
    use.decide("output", "format", "plain")
    let asked = format.flatMap(Checkpoint.Format.init(rawValue:))
    let written = try OutputName(output).format(
      asked, keeping: input.map { try use.inputs.format(of: $0) } ?? .pytorchZip)
    use.decide(
      ["max-size", "job"], if: written.isSharded,
      otherwise: "\(output) is one file; DIR/ and NAME.safetensors.index.json are shards")
    use.decide(
      ["ties"], if: written.untiesTensors,
      otherwise: "\(written.rawValue) holds tensors that share elements as they are")
    use.decide(
      ["no-carry"], if: isModelFolder, otherwise: "only to DIR/ other files are carried")
    return written
  }

  /// The options for writing the checkpoint.
  ///
  /// - Parameter at: the path of its state dict, for formats that contain only one; nil searches
  ///   for it.
  private func options(at: String?) -> WriteOptions {
    var options = WriteOptions(
      format: format.flatMap(Checkpoint.Format.init(rawValue:)), at: extract ? "/" : at)
    options.ties = ties.flatMap(TiePolicy.init(rawValue:)) ?? .keepFirst
    options.dropsObjects = dropObjects
    options.dequantizes = dequantize
    options.maxShardByteCount = maxSize?.count
    return options
  }

  /// Computes the layout of the output. All errors about the checkpoint's contents occur here.
  ///
  /// - Parameters:
  ///   - at: the path of its state dict, for formats that contain only one; nil searches for it.
  ///   - source: the input whose model files are copied to an output folder; nil for the
  ///     checkpoint's own.
  func plan(
    _ checkpoint: Checkpoint, at: String?, carryingFilesOf source: String? = nil
  ) throws -> OutputPlan {
    var options = options(at: at)
    let source = source ?? checkpoint.path
    if isModelFolder, !noCarry, !source.isEmpty { options.carriesFilesOf = source }
    if options.format == nil, checkpoint.path.isEmpty, OutputName(output).ending == .none {
      // If the checkpoint was made of several files or a part of one, it has the format of the
      // first.
      options.format = try source.isEmpty ? nil : Checkpoint(contentsOf: source).format
    }
    let plan = try checkpoint.plan(writingTo: output, options: options)
    if !plan.carried.isEmpty {
      Messages.write(
        "ckpt: carried: " + Messages.line(plan.carried.map(\.name).joined(separator: ", ")))
    }
    return plan
  }

  /// Computes the layout of the output, and prints warnings about what it loses.
  ///
  /// - Parameters:
  ///   - at: the path of its state dict, for formats that contain only one; nil searches for it.
  ///   - source: the input whose model files are copied to an output folder; nil for the
  ///     checkpoint's own.
  ///   - show: prints the report after writing, given the number of bytes.
  func planned(
    _ checkpoint: Checkpoint, common: CommonOptions, at: String? = nil,
    carryingFilesOf source: String? = nil, then show: @escaping (Int) -> Void
  ) throws -> PlannedOutput {
    let plan = try plan(checkpoint, at: at, carryingFilesOf: source)
    for (path, what) in plan.report.dropped { Messages.warn("left out: \(path): \(what)") }
    for (key, kept) in plan.report.tied { Messages.warn("tied: \(key) is \(kept), written once") }
    for key in plan.report.copied { Messages.warn("\(key) shared elements, and is a copy now") }
    for key in plan.report.lostMetadata { Messages.warn("left out: metadata \(key)") }
    return PlannedOutput(plan, self, common, show: show)
  }
}

/// A number of bytes as written by huggingface_hub: `5GB`, `500MB`, or only digits; units are
/// powers of 1000.
struct ByteSize: ExpressibleByArgument {
  let count: Int

  init?(argument: String) {
    let units = ["KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12]
    let unit = units[argument.suffix(2).uppercased()]
    let digits = unit == nil ? argument[...] : argument.dropLast(2)
    guard let number = Double(digits.trimmingCharacters(in: .whitespaces)), number > 0,
      number * (unit ?? 1) < 1e18
    else { return nil }
    count = max(1, Int(saturating: number * (unit ?? 1)))
  }
}

/// A progress line on stderr, shown if the work takes more than a second.
final class ProgressBar: Sendable {
  private struct State {
    var done = 0
    var last: ContinuousClock.Instant
    var isDrawn = false
  }

  private let total: Int
  private let state: Mutex<State>

  /// Creates a progress line; nil unless stderr is a terminal.
  init?(total: Int) {
    guard StandardStream.error.isTerminal, total > 0 else { return nil }
    self.total = total
    state = Mutex(State(last: .now + .milliseconds(900)))
  }

  /// Shows the progress of writing.
  func show(_ progress: WorkProgress) { draw { $0 = progress.completed } }

  /// Shows that `count` more bytes are done.
  func advance(by count: Int) { draw { $0 += count } }

  private func draw(_ change: (inout Int) -> Void) {
    state.withLock { state in
      change(&state.done)
      let now = ContinuousClock.now
      guard now >= state.last + .milliseconds(100) else { return }
      state.last = now
      state.isDrawn = true
      let percent = min(100, Int(saturating: Double(state.done) / Double(total) * 100))
      Messages.draw("\(percent) %  \(bytesText(state.done)) of \(bytesText(total))   ")
    }
  }

  func finish() {
    state.withLock { state in
      if state.isDrawn { Messages.erase(width: 50) }
    }
  }
}
