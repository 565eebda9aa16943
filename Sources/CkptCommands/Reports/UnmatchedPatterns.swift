internal import StateDictKit

/// Patterns and rules that match nothing, with suggestions.
struct UnmatchedPatterns {
  private var rules: [(rule: String, text: String, nearest: [String])] = []

  /// Finds the patterns of a selection that match none of the keys.
  ///
  /// - Parameter options: the names of the options that include and exclude.
  init(
    _ selection: KeySelection, in keys: [String], options: [String] = ["include", "exclude"]
  ) throws {
    for (option, patterns) in zip(options, [selection.include, selection.exclude]) {
      for (pattern, nearest) in KeySelection(include: patterns).unmatched(in: keys) {
        rules.append(("--\(option) \(pattern.written)", pattern.written, nearest))
      }
    }
  }

  /// Finds the rules that matched no key.
  init(_ report: KeyReport) {
    rules = report.unmatched.map { unmatched in
      let text =
        switch unmatched.rule {
        case .include(let pattern), .exclude(let pattern): pattern.written
        case .rename, .mapEntry, .resize: ""
        }
      return (unmatched.rule.option, text, unmatched.nearest)
    }
  }

  /// Prints a warning for each, with similar keys.
  ///
  /// - Throws: `UsageError` for plain text with characters of another kind of pattern, such as
  ///   `model_ema.*`, which no key contains, so that it was probably meant as another kind.
  func report(of file: String) throws {
    for (rule, text, nearest) in rules {
      if let meant = Self.otherKind(of: text) {
        throw UsageError(
          description: "\(rule) matches no key of \(file): without a kind, a pattern is plain text",
          hint: "such as '\(meant)'; in:TEXT, is:TEXT, under:TEXT, glob:TEXT, re:TEXT are the kinds"
        )
      }
      Messages.warn(
        "\(rule) matches no key of \(file)"
          + (nearest.isEmpty ? "" : "; near it: \(nearest.joined(separator: ", "))"))
    }
  }

  /// The pattern that plain text was probably meant as, if it contains wildcards or characters of
  /// regular expressions.
  private static func otherKind(of written: String) -> String? {
    guard written.hasPrefix("in:") else { return nil }
    let text = written.dropFirst(3)
    let isRegex =
      text.hasPrefix("^") || text.hasSuffix("$") || text.contains("\\")
      || text.contains(".*")
        && text.contains { "(|+".contains($0) }
    if isRegex { return "re:\(text)" }
    guard text.contains(where: { "*?[{".contains($0) }) else { return nil }
    // One star matches within a dotted part, and a key may be longer.
    let glob = text.hasSuffix(".*") ? text + "*" : text
    return "glob:\(glob)"
  }
}

/// Prints warnings about rules that matched nothing; see ``UnmatchedPatterns/report(of:)`` for
/// errors.
func reportUnmatched(_ report: KeyReport, of file: String) throws {
  try UnmatchedPatterns(report).report(of: file)
}
