/// A shell pattern for dotted names. The matching time is proportional to the product of the
/// lengths of pattern and key.
struct Glob: Sendable {
  fileprivate enum Token: Sendable {
    case scalar(Unicode.Scalar)
    case any
    case set([ClosedRange<Unicode.Scalar>], negated: Bool)
    case star(crossesDots: Bool)
  }

  private var tokens: [Token] = []

  /// A character of the pattern, with its position in the original text.
  private struct Written {
    let scalar: Unicode.Scalar
    let position: Int

    static func == (left: Written, right: Unicode.Scalar) -> Bool { left.scalar == right }
    static func != (left: Written, right: Unicode.Scalar) -> Bool { left.scalar != right }
  }

  /// Expands the braces in `text` to patterns without braces.
  static func alternatives(of text: String) throws(PatternError) -> [Glob] {
    var globs: [Glob] = []
    let written = text.unicodeScalars.enumerated().map { Written(scalar: $1, position: $0) }
    for expanded in try expandBraces(written, in: text) {
      globs.append(try Glob(expanded, in: text))
    }
    return globs
  }

  private init(_ text: [Written], in pattern: String) throws(PatternError) {
    var position = 0
    while position < text.count {
      let start = text[position].position
      let scalar = text[position].scalar
      position += 1
      switch scalar {
      case "*":
        let double = position < text.count && text[position] == "*"
        if double { position += 1 }
        tokens.append(.star(crossesDots: double))
      case "?": tokens.append(.any)
      case "[":
        let negated = position < text.count && (text[position] == "!" || text[position] == "^")
        if negated { position += 1 }
        var ranges: [ClosedRange<Unicode.Scalar>] = []
        var closed = false
        while position < text.count {
          let lowPlace = text[position].position
          let low = text[position].scalar
          position += 1
          if low == "]", !ranges.isEmpty {
            closed = true
            break
          }
          var high = low
          if position + 1 < text.count, text[position] == "-", text[position + 1] != "]" {
            high = text[position + 1].scalar
            position += 2
          }
          guard low <= high else {
            throw PatternError(pattern, "a range runs backwards", at: lowPlace)
          }
          ranges.append(low...high)
        }
        guard closed else {
          throw PatternError(pattern, "a \"[\" has no \"]\"", at: start)
        }
        tokens.append(.set(ranges, negated: negated))
      case "\\" where position < text.count:
        tokens.append(.scalar(text[position].scalar))
        position += 1
      default: tokens.append(.scalar(scalar))
      }
    }
  }

  /// Whether the pattern matches the whole key.
  func matches(_ key: String) -> Bool {
    // The positions in the pattern that can be reached with the part of the key read so far.
    var reached = [Bool](repeating: false, count: tokens.count + 1)
    reached[0] = true
    func skipStars(_ positions: inout [Bool]) {
      for (position, token) in tokens.enumerated() where positions[position] {
        if case .star = token { positions[position + 1] = true }
      }
    }
    skipStars(&reached)
    for scalar in key.unicodeScalars {
      var next = [Bool](repeating: false, count: tokens.count + 1)
      for (position, token) in tokens.enumerated() where reached[position] {
        switch token {
        case .scalar(let wanted): if wanted == scalar { next[position + 1] = true }
        case .any: if scalar != "." { next[position + 1] = true }
        case .set(let ranges, let negated):
          let isIn = ranges.contains { $0.contains(scalar) }
          if isIn != negated, scalar != "." || !negated { next[position + 1] = true }
        case .star(let crossesDots): if crossesDots || scalar != "." { next[position] = true }
        }
      }
      skipStars(&next)
      reached = next
    }
    return reached[tokens.count]
  }

  private static let limit = 1000

  /// Expands the innermost braces until there are none left.
  private static func expandBraces(
    _ text: [Written], in pattern: String
  ) throws(PatternError) -> [[Written]] {
    var done: [[Written]] = []
    var open = [text]
    while let current = open.popLast() {
      guard let (range, parts) = try innermostBraces(of: current, in: pattern) else {
        done.append(current)
        continue
      }
      for part in parts.reversed() {
        open.append(Array(current[..<range.lowerBound]) + part + current[range.upperBound...])
      }
      guard open.count + done.count <= limit, text.count <= 10_000 else {
        throw PatternError(pattern, "the braces stand for more than \(limit) patterns", at: 0)
      }
    }
    return done
  }

  private static func innermostBraces(
    of text: [Written], in pattern: String
  ) throws(PatternError) -> (Range<Int>, [[Written]])? {
    var start: Int?
    var commas: [Int] = []
    var position = 0
    while position < text.count {
      switch text[position].scalar {
      case "\\": position += 1
      case "{": (start, commas) = (position, [])
      case ",": if start != nil { commas.append(position) }
      case "}":
        guard let begin = start else { break }
        let edges = [begin] + commas + [position]
        let parts = zip(edges, edges.dropFirst()).map { Array(text[$0.0 + 1..<$0.1]) }
        return (begin..<position + 1, parts)
      default: break
      }
      position += 1
    }
    if let start {
      throw PatternError(pattern, "a \"{\" has no \"}\"", at: text[start].position)
    }
    return nil
  }
}
