internal import CkptMerging
internal import CkptPatterns
internal import CkptRecipes
internal import CkptStateDicts
internal import CkptText
internal import ModelZoo

extension FuzzTarget {
  /// Texts that users write: YAML, JSON, patterns.
  static let texts: [FuzzTarget] = [
    FuzzTarget("json") { bytes, _ in
      let value = try JSONValue(parsing: String(decoding: bytes, as: UTF8.self))
      do {
        let again = try JSONValue(parsing: value.text())
        try Fault.unless(again == value, "JSON changes when it is written")
      } catch let error as JSONError {
        throw Fault(problem: "written JSON is refused: \(error)")
      }
    },
    FuzzTarget("recipes") { bytes, _ in
      let book = try RecipeBook(yaml: String(decoding: bytes, as: UTF8.self), file: "x.yml")
      for recipe in book.recipes { _ = recipe.steps(for: ["module.fc.weight", "fc.bias"]) }
    },
    FuzzTarget("merges") { bytes, _ in
      _ = try MergeRecipe(yaml: String(decoding: bytes, as: UTF8.self), file: "x.yml")
    },
    FuzzTarget("models") { bytes, _ in
      _ = try ModelDescription(yaml: String(decoding: bytes, as: UTF8.self))
    },
    FuzzTarget("patterns") { bytes, _ in
      // The first line is a pattern, the second a template, the others are keys.
      let lines = bytes.split(separator: 10, omittingEmptySubsequences: false)
        .map { String(decoding: $0, as: UTF8.self) }
      let keys = lines.dropFirst(2).prefix(20)
      if let pattern = try? KeyPattern(lines[0]) {
        for key in keys { _ = pattern.matches(key) }
      }
      for kind in [KeyPattern.Kind.glob, .regex] {
        guard let pattern = try? KeyPattern(kind, lines[0]) else { continue }
        for key in keys { _ = pattern.matches(key) }
      }
      let rule = KeyRename.regex(lines[0], template: lines.count > 1 ? lines[1] : "")
      let rename = try rule.renamer()
      for key in keys { _ = rename(key) }
    },
  ]
}
