internal import ArgumentParser
internal import Foundation
internal import Synchronization

/// The options of all commands, for what must hold for each of them.
package enum OptionCatalogue {
  /// An option of a command.
  package struct Entry: Sendable {
    package let command, name, spelling: String
    package let takesValue, isRepeatable: Bool
    /// Whether it is a permission or a matter of output, which may be given in vain.
    package let isFree: Bool
  }

  /// All options, but those that are no call: help.
  package static let all: [Entry] = Ckpt.commands.flatMap { command in
    CommandOption.all(of: command).filter { !["help", "version"].contains($0.name) }.map {
      Entry(
        command: command._commandName, name: $0.name,
        spelling: $0.spellings.first { $0.hasPrefix("--") } ?? "", takesValue: $0.takesValue,
        isRepeatable: $0.isRepeatable, isFree: OptionUse.free.contains($0.name))
    }
  }

  /// The options of a call's command of which the command declares nothing.
  package static func undeclared(in arguments: [String]) throws -> [String] {
    let call = CommandCall(arguments)
    guard let checked = try call.command() as? any CheckedCommand else { return [] }
    var use = OptionUse(call.inputs)
    try checked.declareOptions(&use)
    return use.undeclared(of: CommandOption.all(of: type(of: checked)))
  }
}

/// An option or a flag of a command, as the parser has it.
struct CommandOption: Sendable, Hashable {
  /// What it is called, without dashes: the long name where there is one. `--no-X` goes by the name of `--X`.
  let name: String
  /// How it may be written: `--output`, `-o`.
  let spellings: [String]
  /// Whether a value follows it.
  let takesValue: Bool
  /// Whether it may be given several times.
  let isRepeatable: Bool

  /// The options of the commands that were asked for, by the commands' names.
  private static let known = Mutex<[String: [CommandOption]]>([:])

  /// All options of a command, also hidden ones, from what the parser tells of it.
  static func all(of command: any ParsableCommand.Type) -> [CommandOption] {
    let name = command._commandName
    if let found = known.withLock({ $0[name] }) { return found }
    let options = told(of: command)
    known.withLock { $0[name] = options }
    return options
  }

  private static func told(of command: any ParsableCommand.Type) -> [CommandOption] {
    let data = Data(command._dumpHelp().utf8)
    let found = try? JSONDecoder().decode(Tool.self, from: data)
    let named = (found?.command.arguments ?? []).filter { $0.kind != "positional" }
    let names = Set(named.map(\.name))
    return named.map { argument in
      let name = argument.name
      let positive = name.hasPrefix("no-") ? String(name.dropFirst(3)) : name
      return CommandOption(
        name: names.contains(positive) ? positive : name, spellings: argument.spellings,
        takesValue: argument.kind == "option", isRepeatable: argument.isRepeating)
    }
  }

  /// What the parser tells of a command (its version 0), as far as it is needed.
  private struct Tool: Decodable {
    struct Command: Decodable {
      let arguments: [Argument]?
    }
    struct Argument: Decodable {
      struct Name: Decodable {
        let kind, name: String
      }
      let kind: String
      let isRepeating: Bool
      let names: [Name]?

      var name: String {
        let long = names?.first { $0.kind == "long" } ?? names?.first
        return long?.name ?? ""
      }

      var spellings: [String] {
        (names ?? []).map { ($0.kind == "long" ? "--" : "-") + $0.name }
      }
    }
    let command: Command
  }
}
