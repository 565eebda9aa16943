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

  /// A file larger than this is refused.
  private static let sizeLimit = 4 << 20

  /// Reads recipes from YAML.
  ///
  /// - Parameters:
  ///   - text: the recipes; a single one may stand alone, without `recipes` and its name.
  ///   - file: what errors call the text.
  /// - Throws: `RecipeError.malformed` with the line.
  public init(yaml text: String, file: String) throws {
    self.text = text
    let parser = RecipeParser(file: file)
    let root: Node?
    do {
      root = try Yams.compose(yaml: text)
    } catch let error as YamlError {
      throw RecipeError.malformed(file: file, line: error.line, error.problem)
    }
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
    guard file.size <= Self.sizeLimit else {
      throw RecipeError.malformed(
        file: path, line: nil, "a file of recipes has at most \(Self.sizeLimit >> 20) MB")
    }
    let bytes = try file.bytes(at: 0, count: file.size)
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw RecipeError.malformed(file: path, line: nil, "is no text")
    }
    try self.init(yaml: text, file: path)
  }

  /// The recipes that come with the library.
  ///
  /// - Throws: nothing, as long as `recipes.yml` is well-formed, which the tests see to.
  public static func bundled() throws -> RecipeBook {
    try RecipeBook(
      yaml: String(decoding: PackageResources.recipes_yml, as: UTF8.self), file: "recipes.yml")
  }

  /// The recipe that `--recipe` names: one that comes with the library, a file, or `FILE#NAME`.
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

  /// Reads a mapping of old keys to new ones, YAML or JSON.
  ///
  /// - Throws: `FileError`; `RecipeError.malformed`.
  public static func keyMap(path: String) throws -> [String: String] {
    let file = try File(readingFrom: path)
    guard file.size <= 64 << 20 else {
      throw RecipeError.malformed(file: path, line: nil, "a map of names has at most 64 MB")
    }
    let text = String(decoding: try file.bytes(at: 0, count: file.size), as: UTF8.self)
    do {
      // JSON is YAML, as far as such a mapping goes.
      guard let node = try Yams.compose(yaml: text) else {
        throw RecipeError.malformed(
          file: path, line: nil, "is no mapping of old keys to new ones")
      }
      return try RecipeParser(file: path).keyMap(node)
    } catch let error as YamlError {
      throw RecipeError.malformed(
        file: path, line: error.line, "is neither YAML nor JSON: \(error.problem)")
    }
  }
}

extension YamlError {
  /// The line, counted from 1.
  fileprivate var line: Int? {
    switch self {
    case .scanner(_, _, let mark, _), .parser(_, _, let mark, _), .composer(_, _, let mark, _):
      mark.line
    default: nil
    }
  }

  fileprivate var problem: String {
    switch self {
    case .scanner(_, let problem, _, _), .parser(_, let problem, _, _),
      .composer(_, let problem, _, _):
      problem
    default: "is no YAML"
    }
  }
}
