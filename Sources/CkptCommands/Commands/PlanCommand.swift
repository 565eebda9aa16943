internal import CkptText
internal import ArgumentParser
internal import Foundation
internal import StateDictKit

struct PlanCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plan",
    abstract: "Print a command as independent jobs, a line each, and a last line that joins them.",
    usage: "ckpt plan COMMAND ... -o OUT.safetensors.index.json --jobs N",
    discussion: """
      COMMAND is filter, rename-keys, merge, convert, fold or shard with a sharded output. Each job writes its shards, \
      whole or not at all, and leaves those that are there; the last line, which writes the index, must run \
      when all others are done. The result is the same bytes as from COMMAND alone. For example:

        ckpt plan convert in.pt -o out/model.safetensors.index.json --max-size 2GB --jobs 8 > jobs
        head -n -1 jobs | parallel && tail -n 1 jobs | sh
      """)

  @Argument(parsing: .captureForPassthrough, help: "The command and its options, and --jobs N.")
  var arguments: [String] = []

  private struct Report: Encodable {
    struct Job: Encodable {
      let command: [String]
      let files: [String]
      let bytes: Int
    }
    let output, format: String
    let jobs: [Job]
    let join: [String]?
  }

  func run() throws {
    var rest = arguments
    if rest.contains("--help") || rest.contains("-h") { throw CleanExit.helpRequest(self) }
    let count = try Self.takeJobs(&rest)
    let json = rest.contains("--json")
    rest.removeAll { $0 == "--json" }
    let planned = try Self.planned(rest)
    guard let jobs = planned.plan.jobs(count) else {
      throw UsageError(
        description: "only a sharded output is independent work",
        hint: "let OUT be DIR/, or end with .safetensors.index.json or .bin.index.json")
    }
    let plan = planned.plan
    let output = planned.output
    if plan.replaces, !output.force {
      throw FileError(
        .cannotCreate, "exists already", path: output.output,
        hint: "\(.replaceExisting) replaces it")
    }
    let program = CommandLine.arguments.first ?? "ckpt"
    let lines = jobs.map { job in
      Report.Job(
        command: [program] + rest + ["--job", job.part.description],
        files: job.shards.map(\.name), bytes: job.byteCount)
    }
    let join = plan.index.map { index in
      [program, "join", "--index-only", plan.path, "-o", plan.path + "/" + index.name]
        + (output.force ? ["--force"] : [])
    }
    if json {
      return try printJSON(
        Report(output: output.output, format: plan.format.rawValue, jobs: lines, join: join))
    }
    for line in lines.map(\.command) + [join].compactMap(\.self) {
      guard line.allSatisfy({ Text.escaped($0) == $0 }) else {
        throw UsageError(
          description: "an argument holds characters that cannot be printed on a line",
          hint: "--json prints the jobs with all characters")
      }
      print(Shell.line(line))
    }
  }

  /// The commands whose output is a state dict, so that its shards can be written independently.
  private static let commands = ["filter", "rename-keys", "merge", "convert", "fold", "shard"]

  /// The output that a command would write.
  private static func planned(_ arguments: [String]) throws -> PlannedOutput {
    let refusal = UsageError(
      description: "there is no plan for \"\(arguments.first ?? "")\"",
      hint: "there is one for: " + commands.joined(separator: ", "))
    guard let name = arguments.first, commands.contains(name) else { throw refusal }
    let call = CommandCall(arguments)
    if let idle = call.given.first(where: { ["job", "dry-run"].contains($0.option.name) }) {
      throw UsageError(
        description:
          "\(idle.spelling) decides nothing here: a plan says what jobs there are, and writes nothing"
      )
    }
    guard let command = try call.command() as? any PlannedCommand else { throw refusal }
    return try command.planned(call.inputs)
  }

  /// Removes `--jobs N` from the arguments and returns N.
  private static func takeJobs(_ arguments: inout [String]) throws -> Int {
    var count: Int?
    let places = arguments.indices.filter {
      arguments[$0] == "--jobs" || arguments[$0].hasPrefix("--jobs=")
    }
    guard places.count < 2 else {
      throw UsageError(description: "--jobs is given twice, and takes one value")
    }
    if let place = places.first {
      if arguments[place] == "--jobs", place + 1 < arguments.count {
        count = Int(arguments.remove(at: place + 1))
      } else {
        count = Int(arguments[place].dropFirst(7))
      }
      arguments.remove(at: place)
    }
    guard let count, count >= 1 else {
      throw UsageError(
        description: "--jobs N says how many jobs there are", hint: "such as --jobs 8")
    }
    return count
  }
}
