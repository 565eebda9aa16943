internal import ArgumentParser
internal import StateDictKit

/// A command that writes one checkpoint in two steps: it computes the layout of the output, then
/// writes it.
protocol PlannedCommand: CheckedCommand {
  /// Reads the inputs, makes the changes, and computes the layout of the output; nothing is
  /// written.
  func planned(_ inputs: OpenInputs) throws -> PlannedOutput
}

extension PlannedCommand {
  /// Computes the layout of the output and writes it.
  func run() throws {
    let inputs = OpenInputs()
    try planned(inputs).write(inputs.cancellation)
  }
}

/// The files that one call reads, so that none is opened twice, and the token that cancels the
/// call.
final class OpenInputs {
  private var checkpoints: [String: Checkpoint] = [:]
  private var recipes: [String: MergeRecipe] = [:]
  /// Cancels the computation of the output, and its writing.
  let cancellation = Cancellation()

  /// The format of the checkpoint at `path`, which remains open until it is taken.
  ///
  /// - Throws: what opening a checkpoint throws.
  func format(of path: String) throws -> Checkpoint.Format {
    if let known = checkpoints[path] { return known.format }
    let checkpoint = try Checkpoint(contentsOf: path)
    checkpoints[path] = checkpoint
    return checkpoint.format
  }

  /// Opens the checkpoint at `path`, unless it is open, and passes it to the caller, who can change
  /// it without a copy.
  ///
  /// - Throws: what opening a checkpoint throws.
  func take(_ path: String) throws -> Checkpoint {
    try checkpoints.removeValue(forKey: path) ?? Checkpoint(contentsOf: path)
  }

  /// Reads the recipe at `path`.
  ///
  /// - Throws: what reading a recipe throws.
  func recipe(_ path: String) throws -> MergeRecipe {
    if let known = recipes[path] { return known }
    let recipe = try MergeRecipe(contentsOf: path)
    recipes[path] = recipe
    return recipe
  }
}

/// The result of a command before writing: the layout of the output, and the function that prints
/// the report.
struct PlannedOutput {
  /// The layout of the output.
  let plan: OutputPlan
  /// The options for writing it.
  let output: OutputOptions
  let common: CommonOptions
  /// Prints the report, given the number of bytes written. It cannot throw: all errors occur before
  /// anything is written.
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

  /// Writes the output, unless this is a dry run, and then prints the report.
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
