internal import ArgumentParser

/// A call of a command: its arguments, and which options were given in them.
///
/// This is the one place that knows what was *given*, also where it is what would be anyway. It refuses a second
/// value for an option that takes one, and options that decide nothing.
struct CommandCall {
  /// An option as it was given.
  struct Given {
    let option: CommandOption
    /// As it was written, without the value.
    let spelling: String
    let value: String?
  }

  /// The options, in order.
  private(set) var given: [Given] = []
  /// The arguments behind the program's name.
  private let arguments: [String]
  /// The files that the call reads.
  let inputs = OpenInputs()
  /// The first argument that is no option of the command's; then the parser has the word.
  private var unknown: String?
  /// The command that the first argument names; nil where help is asked for, which is told of the whole tool.
  private var named: (any ParsableCommand.Type)?

  /// Looks at the arguments behind the program's name.
  init(_ arguments: [String]) {
    self.arguments = arguments
    guard let name = arguments.first,
      let command = Ckpt.commands.first(where: { $0._commandName == name }),
      // Its arguments are another command's, and checked as such.
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

  /// Carries the command out.
  ///
  /// - Throws: as ``command()``; what the command throws.
  func run() throws {
    var command = try command()
    guard let planned = command as? any PlannedCommand else { return try command.run() }
    try planned.planned(inputs).write(inputs.cancellation)
  }

  /// The command with its options, all of which decide something.
  ///
  /// - Throws: the parser's errors; `UsageError` for an option that decides nothing, or was given twice and takes
  ///   one value; what looking for the output's format throws.
  func command() throws -> any ParsableCommand {
    // One command's parser is made in a fraction of the time that all of them take.
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
