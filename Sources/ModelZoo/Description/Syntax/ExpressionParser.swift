/// Parses expressions, steps of forward passes, and signatures.
struct ExpressionParser {
  /// The maximum nesting depth, which limits the recursion of the parser and the evaluators.
  static let deepest = 24
  /// The largest length of an expression in bytes.
  static let longest = 4096

  private let text: [UInt8]
  private var offset = 0

  init(_ text: String) throws {
    self.text = Array(text.utf8)
    guard self.text.count <= Self.longest else {
      throw ExpressionError(problem: "is longer than \(Self.longest) bytes", offset: Self.longest)
    }
  }

  /// Parses a text that is one expression.
  static func expression(_ text: String) throws -> Expression {
    var parser = try ExpressionParser(text)
    let result = try parser.condition(0).value
    try parser.end()
    return result
  }

  /// Parses a step: `value`, or `name = value`, or `one, other = value`.
  static func step(_ text: String) throws -> (targets: [String], value: Expression) {
    var parser = try ExpressionParser(text)
    var targets: [String] = []
    while let name = parser.identifier() {
      targets.append(name)
      if !parser.take(",") { break }
    }
    if !targets.isEmpty, parser.peek() == UInt8(ascii: "="), !parser.looks(at: "==") {
      parser.offset += 1
    } else {
      targets = []
      parser.offset = 0
    }
    let value = try parser.condition(0).value
    try parser.end()
    return (targets, value)
  }

  /// Parses a signature: `Name`, or `Name(first, second=value)`.
  static func signature(_ text: String) throws -> (
    name: String, parameters: [(name: String, standard: Expression?)]?
  ) {
    var parser = try ExpressionParser(text)
    guard let name = parser.identifier() else { throw parser.error("a name should stand here") }
    var parameters: [(String, Expression?)]?
    if parser.take("(") {
      var all: [(String, Expression?)] = []
      while !parser.take(")") {
        guard all.isEmpty || parser.take(","), let parameter = parser.identifier() else {
          throw parser.error("a parameter's name should stand here")
        }
        guard !all.contains(where: { $0.0 == parameter }) else {
          throw parser.error("the parameter \(parameter) stands here twice")
        }
        let standard = parser.take("=") ? try parser.condition(0).value : nil
        all.append((parameter, standard))
      }
      parameters = all
    }
    try parser.end()
    return (name, parameters)
  }

  // MARK: - Characters

  private func error(_ problem: String) -> ExpressionError {
    ExpressionError(problem: problem, offset: offset)
  }

  private mutating func peek() -> UInt8? {
    while offset < text.count, text[offset] == UInt8(ascii: " ") { offset += 1 }
    return offset < text.count ? text[offset] : nil
  }

  private mutating func looks(at token: String) -> Bool {
    _ = peek()
    return text[offset...].starts(with: token.utf8)
  }

  private mutating func take(_ token: String) -> Bool {
    guard looks(at: token) else { return false }
    offset += token.utf8.count
    return true
  }

  private mutating func end() throws {
    if peek() != nil { throw error("nothing more should stand here") }
  }

  static func isLetter(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "_"):
      true
    default: false
    }
  }

  static func isDigit(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
  }

  private mutating func identifier() -> String? {
    guard let first = peek(), Self.isLetter(first) else { return nil }
    return run { Self.isLetter($0) || Self.isDigit($0) }
  }

  private mutating func run(_ isPart: (UInt8) -> Bool) -> String {
    let start = offset
    while offset < text.count, isPart(text[offset]) { offset += 1 }
    return String(decoding: text[start..<offset], as: UTF8.self)
  }

  /// Consumes a word that is an operator; returns false if the next token is different.
  private mutating func takeWord(_ word: String) -> Bool {
    let start = offset
    if identifier() == word { return true }
    offset = start
    return false
  }

  // MARK: - Expressions

  /// A parsed expression and its depth of nesting.
  private typealias Part = (value: Expression, depth: Int)

  private func checked(_ value: Expression, _ depth: Int) throws -> Part {
    guard depth <= Self.deepest else {
      throw error("nests too deeply; write it as several steps")
    }
    return (value, depth)
  }

  private mutating func condition(_ depth: Int) throws -> Part {
    guard depth <= Self.deepest else {
      throw error("nests too deeply; write it as several steps")
    }
    let first = try binary(1, depth)
    guard takeWord("if") else { return first }
    let test = try binary(1, depth)
    guard takeWord("else") else { throw error("\"else\" should stand here") }
    let second = try condition(depth + 1)
    return try checked(
      .condition(test.value, first: first.value, second: second.value),
      max(first.depth, test.depth, second.depth) + 1)
  }

  private mutating func operation(_ least: Int) -> Expression.BinaryOperator? {
    let symbols: [Expression.BinaryOperator] = [
      .equal, .notEqual, .lessOrEqual, .greaterOrEqual, .less, .greater, .plus, .minus,
      .floorDivide, .times, .divide, .remainder, .matrixProduct,
    ]
    for symbol in symbols where looks(at: symbol.rawValue) {
      guard symbol.strength >= least else { return nil }
      offset += symbol.rawValue.utf8.count
      return symbol
    }
    for word in [Expression.BinaryOperator.or, .and] where word.strength >= least {
      if takeWord(word.rawValue) { return word }
    }
    return nil
  }

  private mutating func binary(_ least: Int, _ depth: Int) throws -> Part {
    var left = try unary(depth)
    while let symbol = operation(least) {
      let right = try binary(symbol.strength + 1, depth)
      left = try checked(
        .binary(symbol, left.value, right.value), max(left.depth, right.depth) + 1)
    }
    return left
  }

  private mutating func unary(_ depth: Int) throws -> Part {
    guard depth <= Self.deepest else {
      throw error("nests too deeply; write it as several steps")
    }
    if peek() == UInt8(ascii: "-") {
      offset += 1
      let operand = try unary(depth + 1)
      if case .integer(let value) = operand.value { return (.integer(-value), operand.depth) }
      return try checked(.unary(.minus, operand.value), operand.depth + 1)
    }
    if takeWord("not") {
      let operand = try binary(3, depth + 1)
      return try checked(.unary(.not, operand.value), operand.depth + 1)
    }
    return try postfix(depth)
  }

  private mutating func postfix(_ depth: Int) throws -> Part {
    var (value, deep) = try atom(depth)
    while true {
      if take(".") {
        guard offset < text.count, Self.isLetter(text[offset]) || Self.isDigit(text[offset]) else {
          throw error("a name should stand behind the dot")
        }
        value = .member(value, run { Self.isLetter($0) || Self.isDigit($0) })
      } else if take("(") {
        let (arguments, inner) = try arguments(depth)
        value = .call(value, arguments)
        deep = max(deep, inner)
      } else if take("[") {
        let (parts, inner) = try subscripts(depth)
        value = .index(value, parts)
        deep = max(deep, inner)
      } else {
        return (value, deep)
      }
      deep += 1
      _ = try checked(value, deep)
    }
  }

  private mutating func arguments(_ depth: Int) throws -> ([Expression.Argument], Int) {
    var result: [Expression.Argument] = []
    var deepest = 0
    while !take(")") {
      guard result.isEmpty || take(",") else { throw error("a comma or ) should stand here") }
      if !result.isEmpty, take(")") { break }
      let start = offset
      var name = identifier()
      if name == nil || looks(at: "==") || !take("=") {
        name = nil
        offset = start
      }
      let part = try condition(depth + 1)
      guard name != nil || result.last?.name == nil else {
        throw error("an argument without a name cannot follow one with a name")
      }
      result.append(.init(name: name, value: part.value))
      deepest = max(deepest, part.depth)
    }
    return (result, deepest)
  }

  private mutating func subscripts(_ depth: Int) throws -> ([Expression.Subscript], Int) {
    var result: [Expression.Subscript] = []
    var deepest = 0
    func isEnd(_ byte: UInt8?) -> Bool { byte == UInt8(ascii: ",") || byte == UInt8(ascii: "]") }
    while !take("]") {
      guard result.isEmpty || take(",") else { throw error("a comma or ] should stand here") }
      var first: Part?
      if peek() != UInt8(ascii: ":") { first = try condition(depth + 1) }
      deepest = max(deepest, first?.depth ?? 0)
      if take(":") {
        let second = isEnd(peek()) ? nil : try condition(depth + 1)
        deepest = max(deepest, second?.depth ?? 0)
        result.append(.slice(first?.value, second?.value))
      } else if let first {
        result.append(.at(first.value))
      }
    }
    guard !result.isEmpty else { throw error("an index should stand here") }
    return (result, deepest)
  }

  private mutating func atom(_ depth: Int) throws -> Part {
    guard let first = peek() else { throw error("something is missing here") }
    if Self.isDigit(first) { return (try number(), 0) }
    if first == UInt8(ascii: "("), take("(") { return try list(until: ")", depth) }
    if first == UInt8(ascii: "["), take("[") { return try list(until: "]", depth) }
    guard let name = identifier() else {
      throw error("a name or a number should stand here")
    }
    return (.name(name), 0)
  }

  /// Parses `[a, b]`, `(a, b)`, or an expression in parentheses.
  private mutating func list(until end: String, _ depth: Int) throws -> Part {
    var result: [Expression] = []
    var deepest = 0
    var isList = end == "]"
    while !take(end) {
      if !result.isEmpty {
        guard take(",") else { throw error("a comma or \(end) should stand here") }
        isList = true
        if take(end) { break }
      }
      let part = try condition(depth + 1)
      result.append(part.value)
      deepest = max(deepest, part.depth)
    }
    if !isList, result.count == 1 { return (result[0], deepest) }
    return try checked(.list(result), deepest + 1)
  }

  private mutating func number() throws -> Expression {
    let start = offset
    let digits = run(Self.isDigit)
    var isWhole = true
    if offset + 1 < text.count, text[offset] == UInt8(ascii: "."), Self.isDigit(text[offset + 1]) {
      isWhole = false
      offset += 1
      _ = run(Self.isDigit)
    } else if offset < text.count, text[offset] == UInt8(ascii: "."),
      offset + 1 == text.count || !Self.isLetter(text[offset + 1])
    {
      isWhole = false
      offset += 1
    }
    if offset < text.count, text[offset] == UInt8(ascii: "e") || text[offset] == UInt8(ascii: "E") {
      isWhole = false
      offset += 1
      if offset < text.count, text[offset] == UInt8(ascii: "-") || text[offset] == UInt8(ascii: "+")
      {
        offset += 1
      }
      guard !run(Self.isDigit).isEmpty else { throw error("an exponent should stand here") }
    }
    let written = String(decoding: text[start..<offset], as: UTF8.self)
    if isWhole {
      guard let value = Int(digits), value < 1 << 40 else {
        throw ExpressionError(problem: "\(digits) is too large", offset: start)
      }
      return .integer(value)
    }
    guard let value = Double(written), value.isFinite else {
      throw ExpressionError(problem: "\(written) is no number", offset: start)
    }
    return .number(value)
  }
}
