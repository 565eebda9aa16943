/// Compiles a regular expression for ``KeyRegex``.
struct KeyRegexParser {
  private typealias Instruction = KeyRegex.Instruction

  private let pattern: String
  private let text: [Unicode.Scalar]
  private var position = 0
  private var depth = 0
  private(set) var groupCount = 1
  private(set) var groupNames: [String: Int] = [:]
  private(set) var ignoresCase = false

  /// The maximum number of instructions; nested counted repetitions multiply.
  private static let programLimit = 10_000
  private static let depthLimit = 100

  init(_ pattern: String) {
    self.pattern = pattern
    text = Array(pattern.unicodeScalars)
  }

  mutating func parse() throws(PatternError) -> [KeyRegex.Instruction] {
    if starts(with: "(?i)") {
      ignoresCase = true
      position += 4
    }
    var program = try alternatives()
    if position < text.count { throw bad("a \")\" has no \"(\"", at: position) }
    program.append(.match)
    return program
  }

  private func bad(_ problem: String, at position: Int) -> PatternError {
    PatternError(pattern, problem, at: position)
  }

  private func starts(with wanted: String) -> Bool {
    text[position...].starts(with: wanted.unicodeScalars)
  }

  /// Adds `offset` to jump targets, which are relative to the start of the program when it is
  /// created.
  private func moved(_ program: [Instruction], by offset: Int) -> [Instruction] {
    program.map { instruction in
      switch instruction {
      case .split(let first, let second): .split(first + offset, second + offset)
      case .jump(let target): .jump(target + offset)
      default: instruction
      }
    }
  }

  private func checked(_ program: [Instruction], at position: Int) throws(PatternError)
    -> [Instruction]
  {
    guard program.count <= Self.programLimit else {
      throw bad("the expression is too large once its repeats are written out", at: position)
    }
    return program
  }

  private mutating func alternatives() throws(PatternError) -> [Instruction] {
    let start = position
    var program = try sequence()
    while position < text.count, text[position] == "|" {
      position += 1
      let other = try sequence()
      // split 1, other; program; jump to the end; other
      program =
        [.split(1, program.count + 2)] + moved(program, by: 1)
        + [.jump(program.count + 2 + other.count)] + moved(other, by: program.count + 2)
      program = try checked(program, at: start)
    }
    return program
  }

  private mutating func sequence() throws(PatternError) -> [Instruction] {
    var program: [Instruction] = []
    while position < text.count, text[position] != "|", text[position] != ")" {
      let start = position
      let atom = try atom()
      let repeated = try repeated(atom, from: start)
      program = try checked(program + moved(repeated, by: program.count), at: start)
    }
    return program
  }

  private mutating func atom() throws(PatternError) -> [Instruction] {
    let start = position
    let scalar = text[position]
    position += 1
    switch scalar {
    case ".": return [.any]
    case "^": return [.atStart]
    case "$": return [.atEnd]
    case "[": return [.set(try set(from: start))]
    case "(": return try group(from: start)
    case "*", "+", "?": throw bad("there is nothing before the \"\(scalar)\" to repeat", at: start)
    case "\\": return try escape(from: start)
    default: return [.scalar(scalar)]
    }
  }

  private mutating func group(from start: Int) throws(PatternError) -> [Instruction] {
    depth += 1
    guard depth <= Self.depthLimit else { throw bad("groups nest too deeply", at: start) }
    defer { depth -= 1 }
    var number: Int?
    if starts(with: "?:") {
      position += 2
    } else if starts(with: "?P<")
      || starts(with: "?<") && !starts(with: "?<=") && !starts(with: "?<!")
    {
      position += starts(with: "?P<") ? 3 : 2
      let nameStart = position
      while position < text.count, text[position] != ">" { position += 1 }
      guard position < text.count, position > nameStart else {
        throw bad("the group's name has no end", at: nameStart)
      }
      let name = String(String.UnicodeScalarView(text[nameStart..<position]))
      guard groupNames[name] == nil else { throw bad("two groups have one name", at: nameStart) }
      position += 1
      number = groupCount
      groupNames[name] = groupCount
      groupCount += 1
    } else if starts(with: "?") {
      throw bad(
        "only (?:…), (?<name>…) and, at the start, (?i) are known: nothing looks around", at: start)
    } else {
      number = groupCount
      groupCount += 1
    }
    let inner = try alternatives()
    guard position < text.count, text[position] == ")" else {
      throw bad("a \"(\" has no \")\"", at: start)
    }
    position += 1
    guard let number else { return inner }
    return [.save(number * 2)] + moved(inner, by: 1) + [.save(number * 2 + 1)]
  }

  private mutating func repeated(
    _ atom: [Instruction], from start: Int
  ) throws(PatternError) -> [Instruction] {
    guard let (low, high) = try bounds() else { return atom }
    var isLazy = false
    if position < text.count, text[position] == "?" {
      position += 1
      isLazy = true
    } else if position < text.count, text[position] == "*" || text[position] == "+" {
      throw bad("a repeat is repeated", at: position)
    }
    func split(_ body: Int, _ end: Int) -> Instruction {
      isLazy ? .split(end, body) : .split(body, end)
    }
    var program: [Instruction] = []
    for _ in 0..<low {
      program = try checked(program + moved(atom, by: program.count), at: start)
    }
    if let high {
      // Each further repetition is optional, together with all those after it.
      var ends: [Int] = []
      for _ in low..<high {
        ends.append(program.count)
        program.append(.match)
        program = try checked(program + moved(atom, by: program.count), at: start)
      }
      for position in ends { program[position] = split(position + 1, program.count) }
    } else {
      let loop = program.count
      program.append(split(loop + 1, loop + atom.count + 2))
      program += moved(atom, by: loop + 1) + [.jump(loop)]
    }
    return program
  }

  /// Parses `*`, `+`, `?`, or `{2,3}`; nil if there is none. A brace that is not a repetition is a
  /// literal.
  private mutating func bounds() throws(PatternError) -> (low: Int, high: Int?)? {
    guard position < text.count else { return nil }
    switch text[position] {
    case "*", "+", "?":
      let scalar = text[position]
      position += 1
      return scalar == "*" ? (0, nil) : scalar == "+" ? (1, nil) : (0, 1)
    case "{":
      let start = position
      guard let end = text[position...].firstIndex(of: "}") else { return nil }
      let inner = String(String.UnicodeScalarView(text[position + 1..<end]))
      let parts = inner.split(separator: ",", omittingEmptySubsequences: false)
      let isCount =
        !inner.isEmpty && inner != ","
        && inner.unicodeScalars.allSatisfy {
          ("0"..."9").contains($0) || $0 == ","
        }
      guard isCount, parts.count <= 2 else { return nil }
      let low = parts[0].isEmpty ? 0 : Int(parts[0])
      let high = parts.count == 1 ? low : parts[1].isEmpty ? nil : Int(parts[1])
      guard let low, low <= 1000, high ?? 0 <= 1000,
        parts.count == 1 || parts[1].isEmpty || high != nil
      else { throw bad("a repeat counts to 1000 at most", at: start) }
      guard high ?? low >= low else { throw bad("the repeat's bounds run backwards", at: start) }
      position = end + 1
      return (low, high)
    default: return nil
    }
  }

  private mutating func escape(from start: Int) throws(PatternError) -> [Instruction] {
    guard position < text.count else { throw bad("a \"\\\" stands at the end", at: start) }
    switch text[position] {
    case "b", "B":
      position += 1
      return [text[position - 1] == "b" ? .atWordEdge : .notAtWordEdge]
    case "1"..."9":
      throw bad("back-references are not supported, since they take unbounded time", at: start)
    default:
      switch try setItem(from: start) {
      case .range(let range) where range.lowerBound == range.upperBound:
        return [.scalar(range.lowerBound)]
      case let item: return [.set(KeyRegexSet(items: [item]))]
      }
    }
  }

  /// Parses the rest of an escape after a `\`, inside or outside of a set.
  private mutating func setItem(from start: Int) throws(PatternError) -> KeyRegexSet.Item {
    guard position < text.count else { throw bad("a \"\\\" stands at the end", at: start) }
    let scalar = text[position]
    position += 1
    switch scalar {
    case "d": return .digit(true)
    case "D": return .digit(false)
    case "w": return .word(true)
    case "W": return .word(false)
    case "s": return .space(true)
    case "S": return .space(false)
    case "n": return .range("\n"..."\n")
    case "t": return .range("\t"..."\t")
    case "r": return .range("\r"..."\r")
    case "a"..."z", "A"..."Z", "0"..."9":
      throw bad("\"\\\(scalar)\" is not known", at: start)
    default: return .range(scalar...scalar)
    }
  }

  private mutating func set(from start: Int) throws(PatternError) -> KeyRegexSet {
    var set = KeyRegexSet()
    if position < text.count, text[position] == "^" {
      set.isNegated = true
      position += 1
    }
    while position < text.count {
      let itemStart = position
      if text[position] == "]", !set.items.isEmpty {
        position += 1
        return set
      }
      let low = try setMember()
      guard case .range(let first) = low, position + 1 < text.count, text[position] == "-",
        text[position + 1] != "]"
      else {
        set.items.append(low)
        continue
      }
      position += 1
      guard case .range(let last) = try setMember(), first.lowerBound <= last.lowerBound else {
        throw bad("a range runs backwards", at: itemStart)
      }
      set.items.append(.range(first.lowerBound...last.lowerBound))
    }
    throw bad("a \"[\" has no \"]\"", at: start)
  }

  private mutating func setMember() throws(PatternError) -> KeyRegexSet.Item {
    let start = position
    let scalar = text[position]
    position += 1
    return scalar == "\\" ? try setItem(from: start) : .range(scalar...scalar)
  }
}
