internal import ArgumentParser
internal import Foundation
internal import Synchronization

/// The options of all commands, for checks that apply to each of them.
package enum OptionCatalogue {
  /// An option of a command.
  package struct Entry: Sendable {
    package let command, name, spelling: String
    package let takesValue, isRepeatable: Bool
    /// Whether it is a permission or concerns only the printed output, so that it may be given
    /// without effect.
    package let isFree: Bool
  }

  /// All options except those for help.
  package static let all: [Entry] = Ckpt.commands.flatMap { command in
    CommandOption.all(of: command).filter { !["help", "version"].contains($0.name) }.map {
      Entry(
        command: command._commandName, name: $0.name,
        spelling: $0.spellings.first { $0.hasPrefix("--") } ?? "", takesValue: $0.takesValue,
        isRepeatable: $0.isRepeatable, isFree: OptionUse.free.contains($0.name))
    }
  }

  /// The options of a call's command that the command does not declare.
  package static func undeclared(in arguments: [String]) throws -> [String] {
    let call = CommandCall(arguments)
    guard let checked = try call.command() as? any CheckedCommand else { return [] }
    var use = OptionUse(call.inputs)
    try checked.declareOptions(&use)
    return use.undeclared(of: CommandOption.all(of: type(of: checked)))
  }
}

/// An option or a flag of a command, as described by the parser.
struct CommandOption: Sendable, Hashable {
  /// The name without dashes; the long name if there is one. `--no-X` has the name of `--X`.
  let name: String
  /// The ways to write it, such as `--output` and `-o`.
  let spellings: [String]
  /// Whether it takes a value.
  let takesValue: Bool
  /// Whether it can be given several times.
  let isRepeatable: Bool

  /// The options of commands that were requested before, by the commands' names.
  private static let known = Mutex<[String: [CommandOption]]>([:])

  /// All options of a command, including hidden ones, from the parser's description.
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

  /// The part of the parser's description of a command (version 0) that is needed.
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
