internal import ArgumentParser
internal import Foundation
internal import StateDictKit

/// Stops a command where it would begin to write, and says what it would write.
enum JobPlanner {
  /// What a command came to.
  struct Planned: Error {
    let plan: OutputPlan
    /// The output as it was named.
    let path: String
  }

  @TaskLocal static var isPlanning = false

  /// The commands whose output is a state dict, so that its shards are independent work.
  static let commands = ["filter", "rename-keys", "merge", "convert", "fold", "shard"]

  /// Runs a command up to where it would write.
  static func plan(_ arguments: [String]) throws -> Planned {
    guard let name = arguments.first, commands.contains(name) else {
      throw UsageError(
        description: "there is no plan for \"\(arguments.first ?? "")\"",
        hint: "there is one for: " + commands.joined(separator: ", "))
    }
    do {
      let call = CommandCall(arguments)
      if let idle = call.given.first(where: { ["job", "dry-run"].contains($0.option.name) }) {
        throw UsageError(
          description:
            "\(idle.spelling) decides nothing here: a plan says what jobs there are, and writes nothing"
        )
      }
      var command = try call.command()
      try $isPlanning.withValue(true) { try command.run() }
    } catch let planned as Planned {
      return planned
    }
    throw UsageError(description: "\"\(name)\" writes nothing with these options")
  }

  /// An argument as a shell must be given it.
  static func quoted(_ argument: String) -> String {
    let plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789@%+=:,./_-"
    if !argument.isEmpty, argument.allSatisfy({ plain.contains($0) }) { return argument }
    return "'" + argument.replacingOccurrences(of: "'", with: "'\\''") + "'"
  }
}

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
    let planned = try JobPlanner.plan(rest)
    let plan = planned.plan
    guard plan.isFolder, !plan.shards.isEmpty, OutputPart(number: 1, of: count) != nil else {
      throw UsageError(
        description: "only a sharded output is independent work",
        hint: "let OUT be DIR/, or end with .safetensors.index.json or .bin.index.json")
    }
    if plan.replaces, !rest.contains("--force") {
      throw FileError(
        .cannotCreate, "exists already", path: planned.path, hint: "\(.replaceExisting) replaces it"
      )
    }
    let program = CommandLine.arguments.first ?? "ckpt"
    let jobs = (1...min(count, plan.shards.count)).compactMap { number in
      OutputPart(number: number, of: min(count, plan.shards.count))
    }
    let lines = jobs.map { part in
      let shards = plan.shards(of: part)
      return Report.Job(
        command: [program] + rest + ["--job", part.description], files: shards.map(\.name),
        bytes: shards.reduce(0) { $0 + $1.byteCount })
    }
    let index = plan.shards.count < plan.files.count ? plan.files.last : nil
    let join = index.map { index in
      [program, "join", "--index-only", plan.path, "-o", plan.path + "/" + index.name]
        + (rest.contains("--force") ? ["--force"] : [])
    }
    if json {
      return try printJSON(
        Report(output: planned.path, format: plan.format.rawValue, jobs: lines, join: join))
    }
    for line in lines.map(\.command) + [join].compactMap(\.self) {
      print(line.map(JobPlanner.quoted).joined(separator: " "))
    }
  }

  /// Takes `--jobs N` out of the arguments.
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
