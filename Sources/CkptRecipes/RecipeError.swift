public import CkptPlatform

/// An error in a recipe file, or in the use of a recipe.
public enum RecipeError: Diagnostic, Equatable {
  /// The file is invalid at a line, counted from 1.
  case malformed(file: String, line: Int?, String)
  /// There is no recipe with the given name; `known` are similar names, or all.
  case unknown(String, known: [String])
  /// The file contains several recipes, and none was named.
  case several(file: String, names: [String])
  /// No variant of the recipe fits the keys; `wanted` are the patterns of each.
  case doesNotFit(recipe: String, wanted: [[String]])

  /// The category of the error, from which `ckpt` takes its exit status.
  public var kind: DiagnosticKind {
    switch self {
    case .unknown, .several: .usage
    case .malformed, .doesNotFit: .badInput
    }
  }

  /// The place of the error.
  public var context: ErrorContext {
    switch self {
    case .malformed(let file, let line, _): ErrorContext(file: file, line: line)
    case .several(let file, _): ErrorContext(file: file)
    case .unknown, .doesNotFit: ErrorContext()
    }
  }

  /// One line that says what is wrong and where.
  public var description: String {
    switch self {
    case .malformed(let file, let line, let problem):
      "\(problem) (\(file)\(line.map { ", line \($0)" } ?? ""))"
    case .unknown(let name, _): "no recipe is called \"\(name)\", and no file"
    case .several(let file, _): "the file holds several recipes (\(file))"
    case .doesNotFit(let recipe, let wanted):
      "the recipe \(recipe) does not fit: no key matches "
        + wanted.map { $0.joined(separator: " and ") }.joined(separator: ", or ")
    }
  }

  /// What the caller can do about the error.
  public var remedies: [Remedy] {
    switch self {
    case .malformed: ["\(.printRecipes) prints recipes as they are written"]
    case .unknown(_, let known): [Remedy("there are: " + known.joined(separator: " "))]
    case .several(let file, let names):
      [
        "name one, as in \(file)#\(names.first ?? "name")",
        Remedy("there are: " + names.joined(separator: " ")),
      ]
    case .doesNotFit: ["\(.listKeys) lists the keys", "\(.path(nil)) may name another state dict"]
    }
  }
}
