internal import ArgumentParser
internal import CkptPatterns
internal import Foundation
internal import StateDictKit
internal import Synchronization

/// The value of an option with a number, by which values of several options can be sorted to the
/// order given.
///
/// The parser preserves the order of one option's values, but not of different options. It
/// transforms all values in the order given, so numbers assigned during the transformation are in
/// that order. If it parses a call more than once, the numbers of each time are in order.
struct OrderedValue: Sendable {
  let number: Int
  let text: String

  private static let count = Atomic<Int>(0)

  /// Assigns the next number.
  init(_ text: String) {
    number = Self.count.add(1, ordering: .relaxed).newValue
    self.text = text
  }
}

/// Options for renaming keys; the rules apply in the order given, also across options.
struct RenameOptions: ParsableArguments {
  @Option(
    parsing: .unconditionalSingleValue, help: "Take P away where a key begins with it.",
    transform: OrderedValue.init)
  var stripPrefix: [OrderedValue] = []

  @Option(
    parsing: .unconditionalSingleValue, help: "Put P before each key.",
    transform: OrderedValue.init)
  var addPrefix: [OrderedValue] = []

  @Option(
    parsing: .unconditionalSingleValue,
    help: "Where a key begins with OLD, let NEW stand instead: OLD=NEW.",
    transform: OrderedValue.init)
  var replacePrefix: [OrderedValue] = []

  @Option(
    parsing: .unconditionalSingleValue,
    help: "Let NEW stand for each OLD: OLD=NEW; \\= is an equals sign in OLD.",
    transform: OrderedValue.init)
  var replace: [OrderedValue] = []

  @Option(
    parsing: .unconditionalSingleValue,
    help: "Let TEMPLATE ($1, ${name}) stand for each match: 'RE=>TEMPLATE'.",
    transform: OrderedValue.init)
  var regex: [OrderedValue] = []

  @Option(
    parsing: .unconditionalSingleValue,
    help: "A YAML or JSON file that maps old keys to new ones.", transform: OrderedValue.init)
  var map: [OrderedValue] = []

  /// The names of the options that are rules, together with those of ``RecipeOptions``.
  static let names = [
    "strip-prefix", "add-prefix", "replace-prefix", "replace", "regex", "map", "recipe",
  ]

  /// Whether no option renames.
  var isEmpty: Bool {
    [stripPrefix, addPrefix, replacePrefix, replace, regex, map].allSatisfy(\.isEmpty)
  }

  /// The rules and recipes, in the order given.
  ///
  /// - Throws: `PatternError` for an invalid rule; `RecipeError` for an invalid recipe or map.
  func keyRules(with recipes: RecipeOptions) throws -> [KeyRule] {
    typealias Reader = (String) throws -> KeyRule
    let all: [([OrderedValue], Reader)] = [
      (stripPrefix, { .step(.rename(.stripPrefix($0))) }),
      (addPrefix, { .step(.rename(.addPrefix($0))) }),
      (
        replacePrefix,
        {
          let (old, new) = try KeyRename.pair($0)
          return .step(.rename(.replacePrefix(old, with: new)))
        }
      ),
      (
        replace,
        {
          let (old, new) = try KeyRename.pair($0)
          return .step(.rename(.replace(old, with: new)))
        }
      ),
      (regex, { .step(.rename(try KeyRename.regexRule($0))) }),
      (map, { .step(.rename(.map(try RecipeBook.keyMap(path: $0)))) }),
      (recipes.recipe, { .recipe(try RecipeBook.recipe($0)) }),
    ]
    let values = all.flatMap { values, reader in values.map { ($0, reader) } }
    return try values.sorted { $0.0.number < $1.0.number }.map { value, reader in
      try reader(value.text)
    }
  }
}

/// Options for named sets of rules, which are ordered together with those of ``RenameOptions``.
struct RecipeOptions: ParsableArguments {
  @Option(
    parsing: .unconditionalSingleValue,
    help: ArgumentHelp(
      "Apply the named rules of a recipe; \"ckpt recipes\" lists them.", valueName: "name|file"),
    transform: OrderedValue.init)
  var recipe: [OrderedValue] = []
}
