/// Compares keys with patterns in one pass, and remembers which patterns had a match.
package struct PatternHits {
  private let patterns: [KeyPattern]
  private var isHit: [Bool]

  /// No key was compared yet.
  package init(_ patterns: [KeyPattern]) {
    self.patterns = patterns
    isHit = patterns.map { _ in false }
  }

  /// Whether one of the patterns matches the key.
  package mutating func matchesAny(_ key: String) -> Bool {
    var matches = false
    for (index, pattern) in patterns.enumerated() where !(matches && isHit[index]) {
      guard pattern.matches(key) else { continue }
      isHit[index] = true
      matches = true
    }
    return matches
  }

  /// The patterns that no key matched.
  package var missed: [KeyPattern] { zip(patterns, isHit).filter { !$1 }.map(\.0) }
}
