internal import ArgumentParser

/// A call of a command: its arguments, and the options that were given in them.
///
/// This is the only code that distinguishes options that were given from those with their default
/// values. It rejects a second value for an option that takes one, and options without effect.
struct CommandCall {
  /// An option that was given.
  struct Given {
    let option: CommandOption
    /// The option as written, without the value.
    let spelling: String
    let value: String?
  }

  /// The options, in order.
  private(set) var given: [Given] = []
  /// The arguments after the program's name.
  private let arguments: [String]
  /// The files that the call reads.
  let inputs = OpenInputs()
  /// The first argument that is not an option of the command; the parser reports it.
  private var unknown: String?
  /// The command that the first argument names; nil if help is requested, which concerns the whole
  /// tool.
  private var named: (any ParsableCommand.Type)?

  /// Analyzes the arguments after the program's name.
  init(_ arguments: [String]) {
    self.arguments = arguments
    guard let name = arguments.first,
      let command = Ckpt.commands.first(where: { $0._commandName == name }),
      // Its arguments are those of another command, and are checked as such.
      command != PlanCommand.self
    else { return }
    let isHelp = arguments.contains { ["-h", "--help", "-help", "--help-hidden"].contains($0) }
    named = isHelp ? nil : command
    let options = CommandOption.all(of: command)
    let bySpelling = Dictionary(
      options.flatMap { option in option.spellings.map { ($0, option) } }
    ) { first, _ in first }
    var rest = arguments.dropFirst()
    while let argument = rest.popFirst() {
      if argument == "--" { break }
      guard argument.hasPrefix("-"), argument != "-" else { continue }
      let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let spelling = String(parts[0])
      guard let option = bySpelling[spelling] else {
        unknown = unknown ?? argument
        continue
      }
      var value = parts.count == 2 ? String(parts[1]) : nil
      if option.takesValue, value == nil { value = rest.popFirst() }
      given.append(Given(option: option, spelling: spelling, value: value))
    }
  }

  /// Runs the command.
  ///
  /// - Throws: as ``command()``; what the command throws.
  func run() throws {
    var command = try command()
    guard let planned = command as? any PlannedCommand else { return try command.run() }
    try planned.planned(inputs).write(inputs.cancellation)
  }

  /// Parses the command with its options, and checks that all of them have an effect.
  ///
  /// - Throws: the parser's errors; `UsageError` for an option without effect, or one that was
  ///   given twice but takes one value; what determining the output's format throws.
  func command() throws -> any ParsableCommand {
    // Creating the parser of one command takes a fraction of the time of all.
    let command =
      try named?.parseAsRoot(Array(arguments.dropFirst())) ?? Ckpt.parseAsRoot(arguments)
    guard let checked = command as? any CheckedCommand else { return command }
    if let unknown {
      throw UsageError(
        description: "\"\(unknown)\" is no option", hint: "options are written in full: -o OUT")
    }
    var counts: [String: Int] = [:]
    for one in given where one.option.takesValue && !one.option.isRepeatable {
      counts[one.option.name, default: 0] += 1
      guard counts[one.option.name] == 1 else {
        throw UsageError(
          description: "\(one.spelling) is given twice, and takes one value",
          hint: "all values: "
            + given.filter { $0.option == one.option }.compactMap(\.value)
            .joined(separator: ", "))
      }
    }
    var use = OptionUse(inputs)
    try checked.declareOptions(&use)
    try use.check(given)
    return command
  }
}
