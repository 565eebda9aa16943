internal import ArgumentParser
internal import Foundation
internal import StateDictKit

/// How keys are to be called.
///
/// The rules apply in the order given, which the parser would not keep across different options: before
/// it sees them, `ordered` turns each into one hidden option that it does keep in order.
struct RenameOptions: ParsableArguments {
  @Option(help: "Take P away where a key begins with it.")
  var stripPrefix: [String] = []

  @Option(help: "Put P before each key.")
  var addPrefix: [String] = []

  @Option(help: "Where a key begins with OLD, let NEW stand instead: OLD=NEW.")
  var replacePrefix: [String] = []

  @Option(help: "Let NEW stand for each OLD: OLD=NEW; \\= is an equals sign in OLD.")
  var replace: [String] = []

  @Option(help: "Let TEMPLATE ($1, ${name}) stand for each match: 'RE=>TEMPLATE'.")
  var regex: [String] = []

  @Option(help: "A YAML or JSON file that maps old keys to new ones.")
  var map: [String] = []

  @Option(name: .customLong("rename-rule"), help: .hidden)
  var rules: [String] = []

  private static let names: Set = [
    "strip-prefix", "add-prefix", "replace-prefix", "replace", "regex", "map",
  ]

  /// The commands whose `--recipe` is a rule like the others.
  private static let takesRecipes: Set = ["filter", "rename-keys", "check"]

  /// The arguments with each rename option as `--rename-rule=NAME:VALUE`.
  static func ordered(_ arguments: [String]) -> [String] {
    var result: [String] = []
    var names = names
    if let command = arguments.first, takesRecipes.contains(command) { names.insert("recipe") }
    var rest = arguments[...]
    while let argument = rest.popFirst() {
      if argument == "--" { return result + [argument] + rest }
      let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let name = argument.hasPrefix("--") ? String(parts[0].dropFirst(2)) : ""
      if !names.contains(name) {
        result.append(argument)
      } else if parts.count == 2 {
        result.append("--rename-rule=\(name):\(parts[1])")
      } else if let value = rest.popFirst() {
        result.append("--rename-rule=\(name):\(value)")
      } else {
        result.append(argument)
      }
    }
    return result
  }

  /// The rules that rename, in order.
  func renames() throws -> [KeyRename] {
    try keyRules().compactMap { if case .step(.rename(let rule)) = $0 { rule } else { nil } }
  }

  /// The rules, in order.
  func keyRules() throws -> [KeyRule] {
    try rules.map { rule in
      let parts = rule.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
      let value = parts.count == 2 ? String(parts[1]) : ""
      switch parts.first {
      case "strip-prefix": return .step(.rename(.stripPrefix(value)))
      case "add-prefix": return .step(.rename(.addPrefix(value)))
      case "replace-prefix":
        let (old, new) = try KeyRename.pair(value)
        return .step(.rename(.replacePrefix(old, with: new)))
      case "replace":
        let (old, new) = try KeyRename.pair(value)
        return .step(.rename(.replace(old, with: new)))
      case "regex": return .step(.rename(try KeyRename.regexRule(value)))
      case "map": return .step(.rename(.map(try RecipeBook.keyMap(path: value))))
      case "recipe": return .recipe(try RecipeBook.recipe(value))
      default: throw UsageError(description: "no rename rule is called \"\(rule)\"")
      }
    }
  }
}

/// Named sets of rules; like the rename rules, they are turned into those of ``RenameOptions`` in order.
struct RecipeOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Apply the named rules of a recipe; \"ckpt recipes\" lists them.", valueName: "name|file"))
  var recipe: [String] = []
}
