internal import ArgumentParser
internal import StateDictKit

/// A command that writes one checkpoint, in two steps: what it will write is laid out, then it is written.
protocol PlannedCommand: CheckedCommand {
  /// Reads the inputs, changes what is to be changed, and lays the output out; writes nothing.
  func planned(_ inputs: OpenInputs) throws -> PlannedOutput
}

extension PlannedCommand {
  /// Lays the output out and writes it.
  func run() throws {
    let inputs = OpenInputs()
    try planned(inputs).write(inputs.cancellation)
  }
}

/// The files that one call reads, so that none is opened twice, and what stops the call.
final class OpenInputs {
  private var checkpoints: [String: Checkpoint] = [:]
  private var recipes: [String: MergeRecipe] = [:]
  /// Stops what is computed for the output, and its writing.
  let cancellation = Cancellation()

  /// The format of the checkpoint at `path`, which stays open until it is taken.
  ///
  /// - Throws: what opening a checkpoint throws.
  func format(of path: String) throws -> Checkpoint.Format {
    if let known = checkpoints[path] { return known.format }
    let checkpoint = try Checkpoint(contentsOf: path)
    checkpoints[path] = checkpoint
    return checkpoint.format
  }

  /// The checkpoint at `path`; whoever takes it may change it without a copy.
  ///
  /// - Throws: what opening a checkpoint throws.
  func take(_ path: String) throws -> Checkpoint {
    try checkpoints.removeValue(forKey: path) ?? Checkpoint(contentsOf: path)
  }

  /// The recipe at `path`.
  ///
  /// - Throws: what reading a recipe throws.
  func recipe(_ path: String) throws -> MergeRecipe {
    if let known = recipes[path] { return known }
    let recipe = try MergeRecipe(contentsOf: path)
    recipes[path] = recipe
    return recipe
  }
}

/// What a command came to: an output that is laid out, and what will be told of it. Nothing is written yet.
struct PlannedOutput {
  /// What is to be written.
  let plan: OutputPlan
  /// How.
  let output: OutputOptions
  let common: CommonOptions
  /// Prints, told the number of bytes. It cannot throw: what can fail comes before the first byte.
  let show: (Int) -> Void

  init(
    _ plan: OutputPlan, _ output: OutputOptions, _ common: CommonOptions,
    show: @escaping (Int) -> Void
  ) {
    self.plan = plan
    self.output = output
    self.common = common
    self.show = show
  }

  /// Writes it, unless this is a dry run, and then tells what was done.
  ///
  /// - Throws: what writing the plan throws.
  func write(_ cancellation: Cancellation) throws {
    show(try writtenByteCount(cancellation))
  }

  private func writtenByteCount(_ cancellation: Cancellation) throws -> Int {
    let part = output.job.flatMap { OutputPart($0) }
    if output.dryRun {
      if let part { return plan.job(part).byteCount }
      if !output.force, plan.replaces {
        Messages.warn("\(output.output) exists already; --force replaces it")
      }
      return plan.byteCount
    }
    let watch = SignalWatch(cancellation, exitStatus: ExitStatus.of(.interrupted))
    defer { withExtendedLifetime(watch) {} }
    let bar = common.noProgress ? nil : ProgressBar(total: plan.byteCount)
    defer { bar?.finish() }
    if let part {
      return try plan.write(
        part, replacingExisting: output.force, verifying: !output.noVerify,
        cancellation: cancellation, progress: { bar?.show($0) })
    }
    return try plan.write(
      replacingExisting: output.force, verifying: !output.noVerify, cancellation: cancellation,
      progress: { bar?.show($0) })
  }
}
