internal import StateDictKit

/// Patterns and rules that found nothing to do, and what may have been meant by them.
struct UnmatchedPatterns {
  private var rules: [(rule: String, text: String, nearest: [String])] = []

  /// Those of a selection that match none of the keys.
  ///
  /// - Parameter options: what the options are called that include and exclude.
  init(
    _ selection: KeySelection, in keys: [String], options: [String] = ["include", "exclude"]
  ) throws {
    for (option, patterns) in zip(options, [selection.include, selection.exclude]) {
      for (pattern, nearest) in KeySelection(include: patterns).unmatched(in: keys) {
        rules.append(("--\(option) \(pattern.written)", pattern.written, nearest))
      }
    }
  }

  /// Those of what was done to keys.
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

  /// Warns of each, with the nearest keys.
  ///
  /// - Throws: `UsageError` for a plain text with signs of another kind of pattern in it: `model_ema.*` is a text that
  ///   no key has in it, and whoever wrote it did not get what was meant.
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

  /// What a plain text was probably meant as, if it has wildcards or a regular expression's signs in it.
  private static func otherKind(of written: String) -> String? {
    guard written.hasPrefix("in:") else { return nil }
    let text = written.dropFirst(3)
    let isRegex =
      text.hasPrefix("^") || text.hasSuffix("$") || text.contains("\\")
      || text.contains(".*")
        && text.contains { "(|+".contains($0) }
    if isRegex { return "re:\(text)" }
    guard text.contains(where: { "*?[{".contains($0) }) else { return nil }
    // One star stays inside a dotted part, and a key may go on.
    let glob = text.hasSuffix(".*") ? text + "*" : text
    return "glob:\(glob)"
  }
}

/// Warns of rules that found nothing to do; see ``UnmatchedPatterns/report(of:)`` for what is an error.
func reportUnmatched(_ report: KeyReport, of file: String) throws {
  try UnmatchedPatterns(report).report(of: file)
}
