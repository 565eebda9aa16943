/// Matches keys against patterns in one pass, and records which patterns matched.
package struct PatternHits {
  private let patterns: [KeyPattern]
  private var isHit: [Bool]

  /// Creates an object to which no key has been passed.
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

  /// The patterns that have not matched any key.
  package var missed: [KeyPattern] { zip(patterns, isHit).filter { !$1 }.map(\.0) }
}
