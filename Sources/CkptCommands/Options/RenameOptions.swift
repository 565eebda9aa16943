internal import CkptPatterns
internal import ArgumentParser
internal import Foundation
internal import StateDictKit

/// How keys are to be called.
///
/// The rules apply in the order given, which the parser would not keep across different options: before
/// it sees them, ``CommandCall`` turns each into one hidden option that it does keep in order.
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

  /// The options that are rules; ``CommandCall`` makes each the hidden one.
  static let names: Set = [
    "strip-prefix", "add-prefix", "replace-prefix", "replace", "regex", "map", "recipe",
  ]
  /// The hidden option.
  static let ruleName = "rename-rule"

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
