internal import CkptText
internal import Foundation
internal import CkptPlatform
internal import CkptStateDicts
internal import Yams

/// A file of recipes.
public struct RecipeBook: Sendable {
  /// The recipes, in the file's order.
  public let recipes: [Recipe]
  /// The file's text.
  public let text: String

  /// Reads recipes from YAML.
  ///
  /// - Parameters:
  ///   - text: the recipes; for a single recipe, `recipes` and the name may be omitted.
  ///   - file: the file's name for error messages.
  /// - Throws: `RecipeError.malformed` with the line.
  public init(yaml text: String, file: String) throws {
    self.text = text
    let parser = RecipeParser(file: file)
    let root = try Self.located(file) { try BoundedYAML.root(of: text, .book) }
    guard let mapping = root?.mapping else {
      throw RecipeError.malformed(file: file, line: nil, "is no mapping of recipes")
    }
    if let all = mapping["recipes"] {
      recipes = try parser.entries(all).map { try parser.recipe($0.value, name: $0.key) }
    } else if let root {
      let stem = file.split(separator: "/").last.map(String.init) ?? file
      recipes = [try parser.recipe(root, name: stem)]
    } else {
      recipes = []
    }
  }

  /// Reads the recipes of a file.
  ///
  /// - Throws: `FileError`; `RecipeError.malformed` with the line.
  public init(contentsOf path: String) throws {
    let file = try File(readingFrom: path)
    try self.init(
      yaml: Self.located(path) { try BoundedYAML.text(of: file, .book) }, file: path)
  }

  /// Adds the file's name to errors of the YAML reader.
  private static func located<T>(_ file: String, _ body: () throws -> T) throws -> T {
    do {
      return try body()
    } catch let failure as BoundedYAML.Failure {
      throw RecipeError.malformed(file: file, line: failure.line, failure.problem)
    }
  }

  /// The recipes that come with the library.
  ///
  /// - Throws: `RecipeError.malformed`; the tests check that the bundled file is valid.
  public static func bundled() throws -> RecipeBook {
    try RecipeBook(
      yaml: String(decoding: PackageResources.recipes_yml, as: UTF8.self), file: "recipes.yml")
  }

  /// The recipe that a text refers to: the name of a bundled recipe, a file, or `FILE#NAME`.
  ///
  /// - Throws: `RecipeError.unknown`, `.several`, `.malformed`; `FileError`.
  public static func recipe(_ written: String) throws -> Recipe {
    let bundled = try bundled()
    if let known = bundled.recipes.first(where: { $0.name == written }) { return known }
    let parts = written.split(separator: "#", maxSplits: 1).map(String.init)
    let (path, name) =
      FileManager.default.fileExists(atPath: written) || parts.count < 2
      ? (written, nil) : (parts[0], parts[1])
    guard FileManager.default.fileExists(atPath: path) else {
      throw RecipeError.unknown(written, known: bundled.recipes.map(\.name))
    }
    let recipes = try RecipeBook(contentsOf: path).recipes
    let names = recipes.map(\.name)
    if let name {
      guard let found = recipes.first(where: { $0.name == name }) else {
        throw RecipeError.unknown(written, known: names)
      }
      return found
    }
    guard recipes.count == 1 else { throw RecipeError.several(file: path, names: names) }
    return recipes[0]
  }

  /// Reads a mapping of old keys to new ones from YAML or JSON.
  ///
  /// - Throws: `FileError`; `RecipeError.malformed`.
  public static func keyMap(path: String) throws -> [String: String] {
    let file = try File(readingFrom: path)
    return try located(path) {
      guard let node = try BoundedYAML.root(of: BoundedYAML.text(of: file, .map), .map) else {
        throw RecipeError.malformed(
          file: path, line: nil, "is no mapping of old keys to new ones")
      }
      return try RecipeParser(file: path).keyMap(node)
    }
  }
}
