/// A regular expression for keys. The matching time is proportional to the product of the lengths
/// of expression and key.
///
/// The standard library's `Regex` backtracks without limit (`(a+)+$` on 40 letters takes hours) and
/// cannot be interrupted, and keys may come from untrusted files. This matcher records which states
/// it has tried, like RE2's bit-state matcher. It therefore supports no back-references and no
/// lookaround.
///
/// Otherwise it supports the syntax of Python's `re`: `.`, `[a-z]`, `\d \w \s \b` and their
/// negations, `^`, `$`, numbered and named groups, `|`, greedy and lazy `* + ? {2,3}`, and `(?i)`
/// at the start.
package struct KeyRegex: Sendable {
  /// An instruction of the compiled expression.
  enum Instruction: Sendable {
    case scalar(Unicode.Scalar)
    case any
    case set(KeyRegexSet)
    /// Continues at the first position; if that fails, at the second.
    case split(Int, Int)
    case jump(Int)
    /// Saves the position in the key: even numbers for the start of a group, odd ones for its end.
    case save(Int)
    case atStart, atEnd, atWordEdge, notAtWordEdge
    case match
  }

  let program: [Instruction]
  /// The number of groups, including the whole match (number 0).
  let groupCount: Int
  /// The numbers of the named groups.
  let groupNames: [String: Int]
  let ignoresCase: Bool

  /// Compiles an expression.
  ///
  /// - Throws: ``PatternError`` with the position of the error.
  package init(_ text: String) throws(PatternError) {
    var parser = KeyRegexParser(text)
    program = try parser.parse()
    groupCount = parser.groupCount
    groupNames = parser.groupNames
    ignoresCase = parser.ignoresCase
  }

  /// The ranges of the groups of a match; nil for a group that did not participate.
  package typealias Groups = [Range<Int>?]

  /// Whether the expression matches anywhere in the key.
  package func isFound(in key: String) -> Bool { firstMatch(in: Array(key.unicodeScalars)) != nil }

  /// All non-overlapping matches from left to right, as in Python's `re.finditer`.
  func matches(in key: [Unicode.Scalar]) -> [Groups] {
    var found: [Groups] = []
    var position = 0
    var mustAdvance = false
    while position <= key.count {
      guard let groups = firstMatch(in: key, from: position, mustAdvance: mustAdvance),
        let whole = groups[0]
      else { break }
      found.append(groups)
      position = whole.upperBound
      mustAdvance = whole.isEmpty
    }
    return found
  }

  /// The leftmost match that starts at or after `start`; nil if there is none.
  ///
  /// - Parameter mustAdvance: whether an empty match at `start` is ignored.
  package func firstMatch(
    in key: [Unicode.Scalar], from start: Int = 0, mustAdvance: Bool = false
  ) -> Groups? {
    enum Job {
      case run(pc: Int, position: Int)
      case restore(slot: Int, value: Int)
    }
    let width = key.count + 1
    // States that were tried have failed, whatever the start of the match, and need not be tried
    // again.
    var tried = [UInt64](repeating: 0, count: (program.count * width + 63) / 64)
    var slots = [Int](repeating: -1, count: groupCount * 2)
    var jobs: [Job] = []
    for first in start..<width {
      jobs.append(.run(pc: 0, position: first))
      while let job = jobs.popLast() {
        guard case .run(var pc, var position) = job else {
          if case .restore(let slot, let value) = job { slots[slot] = value }
          continue
        }
        step: while true {
          let bit = pc * width + position
          if tried[bit / 64] >> UInt64(bit % 64) & 1 == 1 { break }
          tried[bit / 64] |= 1 << UInt64(bit % 64)
          switch program[pc] {
          case .scalar(let wanted):
            guard position < key.count, isSame(key[position], wanted) else { break step }
            position += 1
          case .any:
            guard position < key.count, key[position] != "\n" else { break step }
            position += 1
          case .set(let set):
            guard position < key.count, set.contains(key[position], ignoringCase: ignoresCase)
            else {
              break step
            }
            position += 1
          case .split(let preferred, let other):
            jobs.append(.run(pc: other, position: position))
            pc = preferred
            continue step
          case .jump(let target):
            pc = target
            continue step
          case .save(let slot):
            jobs.append(.restore(slot: slot, value: slots[slot]))
            slots[slot] = position
          case .atStart: guard position == 0 else { break step }
          case .atEnd: guard position == key.count else { break step }
          case .atWordEdge: guard isWordEdge(key, position) else { break step }
          case .notAtWordEdge: guard !isWordEdge(key, position) else { break step }
          case .match:
            if mustAdvance, first == start, position == start { break step }
            slots[0] = first
            slots[1] = position
            return (0..<groupCount).map { group in
              let (low, high) = (slots[group * 2], slots[group * 2 + 1])
              return low >= 0 && high >= low ? low..<high : nil
            }
          }
          pc += 1
        }
      }
    }
    return nil
  }

  private func isSame(_ left: Unicode.Scalar, _ right: Unicode.Scalar) -> Bool {
    left == right
      || ignoresCase && left.properties.lowercaseMapping == right.properties.lowercaseMapping
  }

  private func isWordEdge(_ key: [Unicode.Scalar], _ position: Int) -> Bool {
    let before = position > 0 && KeyRegexSet.isWord(key[position - 1])
    let after = position < key.count && KeyRegexSet.isWord(key[position])
    return before != after
  }
}

/// A set of characters, such as `[a-z\d]` or `\w`.
struct KeyRegexSet: Sendable {
  enum Item: Sendable {
    case range(ClosedRange<Unicode.Scalar>)
    case digit(Bool), word(Bool), space(Bool)
  }

  var items: [Item] = []
  var isNegated = false

  func contains(_ scalar: Unicode.Scalar, ignoringCase: Bool) -> Bool {
    if has(scalar) { return !isNegated }
    if ignoringCase {
      let others = [scalar.properties.lowercaseMapping, scalar.properties.uppercaseMapping]
      for other in others where other.unicodeScalars.count == 1 {
        if let other = other.unicodeScalars.first, has(other) { return !isNegated }
      }
    }
    return isNegated
  }

  private func has(_ scalar: Unicode.Scalar) -> Bool {
    items.contains { item in
      switch item {
      case .range(let range): range.contains(scalar)
      case .digit(let wanted): (scalar.properties.generalCategory == .decimalNumber) == wanted
      case .word(let wanted): Self.isWord(scalar) == wanted
      case .space(let wanted): scalar.properties.isWhitespace == wanted
      }
    }
  }

  static func isWord(_ scalar: Unicode.Scalar) -> Bool {
    if scalar == "_" { return true }
    switch scalar.properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter,
      .decimalNumber, .letterNumber, .otherNumber:
      return true
    default: return false
    }
  }
}
