internal import CkptText
package import CkptPlatform

/// A value in JSON, its objects in their order and its numbers as they are written.
///
/// `NaN`, `Infinity` and `-Infinity` are numbers here, as they are to Python's `json`.
package enum JSONValue: Sendable, Hashable {
  case null
  case bool(Bool)
  /// A number as it is written: `1` is an int, `1.0` and `1e3` are floats.
  case number(String)
  case string(String)
  case array([JSONValue])
  case object([Member])

  /// A name and its value in an object.
  package struct Member: Sendable, Hashable {
    /// The name.
    package let name: String
    /// The value.
    package let value: JSONValue

    /// A member of an object.
    package init(_ name: String, _ value: JSONValue) {
      self.name = name
      self.value = value
    }
  }

  /// Reads a text that is one JSON value.
  ///
  /// - Throws: ``JSONError`` with the position in the text.
  package init(parsing text: String) throws(JSONError) {
    var parser = JSONParser(text)
    self = try parser.parse()
  }

  /// The value as text.
  ///
  /// - Parameters:
  ///   - indent: how deep the first line stands; nil for all on one line.
  ///   - nonFiniteAsText: whether NaN and infinities become the strings `nan`, `inf` and `-inf`, so that
  ///     any reader of JSON takes the text.
  package func text(indent: Int? = 0, nonFiniteAsText: Bool = false) -> String {
    switch self {
    case .null: return "null"
    case .bool(let value): return value ? "true" : "false"
    case .number(let digits):
      guard nonFiniteAsText else { return digits }
      let names = ["NaN": "\"nan\"", "Infinity": "\"inf\"", "-Infinity": "\"-inf\""]
      return names[digits] ?? digits
    case .string(let text): return Self.quoted(text)
    case .array(let items):
      let isFlat = items.allSatisfy { if case .number = $0 { true } else { false } }
      let inner = isFlat ? nil : indent.map { $0 + 1 }
      let parts = items.map { $0.text(indent: inner, nonFiniteAsText: nonFiniteAsText) }
      return Self.joined(parts, "[", "]", isFlat ? nil : indent)
    case .object(let members):
      let inner = indent.map { $0 + 1 }
      let parts = members.map {
        Self.quoted($0.name) + ": "
          + $0.value.text(indent: inner, nonFiniteAsText: nonFiniteAsText)
      }
      return Self.joined(parts, "{", "}", indent)
    }
  }

  private static func joined(
    _ parts: [String], _ open: String, _ close: String, _ indent: Int?
  ) -> String {
    guard let indent, !parts.isEmpty else { return open + parts.joined(separator: ", ") + close }
    let space = String(repeating: "  ", count: indent)
    let lines = parts.map { space + "  " + $0 }
    return open + "\n" + lines.joined(separator: ",\n") + "\n" + space + close
  }

  private static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      default:
        if scalar.value < 32 || (127..<160).contains(scalar.value) {
          let digits = String(scalar.value, radix: 16)
          result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        } else {
          result.unicodeScalars.append(scalar)
        }
      }
    }
    return result + "\""
  }
}

/// What is wrong with a text that should be JSON, and where.
package struct JSONError: Diagnostic, Hashable {
  /// What is wrong.
  package let problem: String
  /// The text.
  package let text: String
  /// Where in it, in Unicode scalars from its start.
  package let offset: Int

  /// A fault of the call.
  package var kind: DiagnosticKind { .usage }
  /// What is wrong and where, on one line.
  package var description: String {
    "no JSON: \(problem) at character \(offset + 1) (value \(Text.quoted(text)))"
  }
  /// What to do about it.
  package var remedies: [Remedy] {
    ["a value is null, true, 3, 0.5, \"text\", [1, 2] or {\"lr\": 0.1}; text needs its quotes"]
  }
}

/// Reads JSON (RFC 8259), and the three numbers that Python adds to it.
private struct JSONParser {
  let text: String
  let scalars: [Unicode.Scalar]
  var position = 0
  /// Values deeper than this are refused: each level is a call here.
  static let depthLimit = 200

  init(_ text: String) {
    self.text = text
    scalars = Array(text.unicodeScalars)
  }

  mutating func parse() throws(JSONError) -> JSONValue {
    let value = try value(depth: 0)
    skipSpace()
    guard position == scalars.count else { throw fail("something follows the value") }
    return value
  }

  func fail(_ problem: String) -> JSONError {
    JSONError(problem: problem, text: text, offset: position)
  }

  var next: Unicode.Scalar? { position < scalars.count ? scalars[position] : nil }

  mutating func skipSpace() {
    while let scalar = next, [" ", "\t", "\n", "\r"].contains(scalar) { position += 1 }
  }

  mutating func take(_ wanted: Unicode.Scalar) -> Bool {
    guard next == wanted else { return false }
    position += 1
    return true
  }

  mutating func takeWord(_ word: String) -> Bool {
    let wanted = Array(word.unicodeScalars)
    guard scalars.count - position >= wanted.count,
      scalars[position..<position + wanted.count].elementsEqual(wanted)
    else { return false }
    position += wanted.count
    return true
  }

  mutating func value(depth: Int) throws(JSONError) -> JSONValue {
    guard depth <= Self.depthLimit else { throw fail("values nest too deep") }
    skipSpace()
    if take("{") { return try object(depth) }
    if take("[") { return try array(depth) }
    if next == "\"" { return .string(try string()) }
    if takeWord("null") { return .null }
    if takeWord("true") { return .bool(true) }
    if takeWord("false") { return .bool(false) }
    for word in ["NaN", "Infinity", "-Infinity"] where takeWord(word) { return .number(word) }
    return .number(try number())
  }

  mutating func object(_ depth: Int) throws(JSONError) -> JSONValue {
    var members: [JSONValue.Member] = []
    var names: Set<[UInt8]> = []
    skipSpace()
    if take("}") { return .object([]) }
    while true {
      skipSpace()
      guard next == "\"" else { throw fail("a name in quotes is missing") }
      let name = try string()
      guard names.insert(Array(name.utf8)).inserted else { throw fail("a name occurs twice") }
      skipSpace()
      guard take(":") else { throw fail("a colon is missing") }
      members.append(.init(name, try value(depth: depth + 1)))
      skipSpace()
      if take("}") { return .object(members) }
      guard take(",") else { throw fail("a comma or } is missing") }
    }
  }

  mutating func array(_ depth: Int) throws(JSONError) -> JSONValue {
    var items: [JSONValue] = []
    skipSpace()
    if take("]") { return .array([]) }
    while true {
      items.append(try value(depth: depth + 1))
      skipSpace()
      if take("]") { return .array(items) }
      guard take(",") else { throw fail("a comma or ] is missing") }
    }
  }

  mutating func digits() -> Int {
    let start = position
    while let scalar = next, ("0"..."9").contains(scalar) { position += 1 }
    return position - start
  }

  mutating func number() throws(JSONError) -> String {
    let start = position
    _ = take("-")
    let isZero = next == "0"
    let whole = digits()
    guard whole == 1 || (whole > 1 && !isZero) else {
      position = start
      throw fail("no value begins here")
    }
    if take("."), digits() == 0 { throw fail("a digit is missing") }
    if take("e") || take("E") {
      if !take("+") { _ = take("-") }
      if digits() == 0 { throw fail("a digit is missing") }
    }
    var text = String.UnicodeScalarView()
    text.append(contentsOf: scalars[start..<position])
    return String(text)
  }

  mutating func string() throws(JSONError) -> String {
    var result = String.UnicodeScalarView()
    position += 1
    while let scalar = next {
      position += 1
      switch scalar {
      case "\"": return String(result)
      case "\\": result.append(try escape())
      default:
        guard scalar.value >= 32 else { throw fail("a control character must be escaped") }
        result.append(scalar)
      }
    }
    throw fail("the closing quote is missing")
  }

  mutating func escape() throws(JSONError) -> Unicode.Scalar {
    guard let letter = next else { throw fail("the closing quote is missing") }
    position += 1
    switch letter {
    case "\"", "\\", "/": return letter
    case "b": return "\u{8}"
    case "f": return "\u{C}"
    case "n": return "\n"
    case "r": return "\r"
    case "t": return "\t"
    case "u":
      let first = try hex()
      if let scalar = Unicode.Scalar(first) { return scalar }
      guard (0xD800..<0xDC00).contains(first), takeWord("\\u") else {
        throw fail("half of a surrogate pair")
      }
      let second = try hex()
      guard (0xDC00..<0xE000).contains(second),
        let scalar = Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00))
      else { throw fail("half of a surrogate pair") }
      return scalar
    default: throw fail("an escape that JSON does not have")
    }
  }

  mutating func hex() throws(JSONError) -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<4 {
      guard let scalar = next, scalar.isASCII,
        let digit = Character(scalar).hexDigitValue
      else { throw fail("four hexadecimal digits are missing") }
      value = value << 4 | UInt32(digit)
      position += 1
    }
    return value
  }
}
