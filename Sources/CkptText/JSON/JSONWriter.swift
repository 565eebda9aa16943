/// Writes JSON, a part at a time, in the layout of whoever else writes such a file.
package struct JSONWriter {
  /// How the text looks.
  package struct Style: Sendable {
    /// Which characters of a string are escaped.
    package enum Escapes: Sendable {
      /// No more than must be, as serde_json does it.
      case needed
      /// Also the control characters behind ASCII, so that a terminal shows the text as it is.
      case control
      /// Everything beyond printable ASCII, as Python's `json.dumps` does it.
      case beyondASCII
    }

    /// Which characters are escaped.
    package var escapes = Escapes.needed
    /// Whether each member and item has a line of its own, two spaces further in than what it is in.
    package var hasLines = true
    /// What stands between two items on one line.
    package var itemSeparator = ", "
    /// What stands between a name and its value.
    package var nameSeparator = ": "
    /// Whether an array of numbers alone stands on one line.
    package var keepsNumbersTogether = false
    /// Whether an empty object or array has an empty line in it.
    package var opensEmpty = false
    /// Whether NaN and infinities become the strings `nan`, `inf` and `-inf`, so that any reader of JSON takes the
    /// text.
    package var nonFiniteAsText = false

    /// For people, on several lines.
    package static let readable = Style(escapes: .control, keepsNumbersTogether: true)
    /// For people, on one line.
    package static let oneLine = Style(escapes: .control, hasLines: false)
    /// As serde_json writes it without spaces: the headers of safetensors.
    package static let compact = Style(hasLines: false, itemSeparator: ",", nameSeparator: ":")
    /// As `json.dumps(indent=2)` writes it in Python: the indices of sharded checkpoints.
    package static let python = Style(escapes: .beyondASCII)
    /// As Foundation's encoder writes it for people: the command's reports.
    package static let report = Style(nameSeparator: " : ", opensEmpty: true)
  }

  private struct Container {
    let close: Unicode.Scalar
    let hasLines: Bool
    var isEmpty = true
  }

  private let style: Style
  private var open: [Container] = []
  /// Whether a name was written whose value comes next.
  private var isBehindName = false
  /// What was written.
  package private(set) var bytes: [UInt8] = []

  /// A writer that wrote nothing yet.
  package init(_ style: Style) { self.style = style }

  /// Gives what was written since last time: for long texts, which are printed a part at a time.
  package mutating func takeBytes() -> [UInt8] {
    defer { bytes.removeAll(keepingCapacity: true) }
    return bytes
  }

  // MARK: - Parts

  /// Begins an object, whose members follow, each a name and a value.
  package mutating func beginObject() { begin("{", "}", hasLines: true) }

  /// Begins an array, whose items follow.
  ///
  /// - Parameter ofNumbers: whether all items will be numbers.
  package mutating func beginArray(ofNumbers: Bool = false) {
    begin("[", "]", hasLines: !(ofNumbers && style.keepsNumbersTogether))
  }

  /// Ends the object or array that was begun last.
  package mutating func end() {
    guard let last = open.popLast() else { return }
    if last.hasLines, !last.isEmpty || style.opensEmpty {
      if last.isEmpty { append("\n") }
      append("\n")
      indent()
    }
    bytes.append(UInt8(ascii: last.close))
  }

  /// A member's name; its value follows.
  package mutating func name(_ text: String) {
    separate()
    quote(text)
    append(style.nameSeparator)
    isBehindName = true
  }

  /// A string.
  package mutating func string(_ text: String) {
    separate()
    quote(text)
  }

  /// An integer.
  package mutating func integer(_ value: Int) { number("\(value)") }

  /// A number as it is written.
  package mutating func number(_ digits: String) {
    separate()
    if style.nonFiniteAsText, let text = Self.nonFinite[digits] { return quote(text) }
    append(digits)
  }

  /// A whole value. It calls itself for each level, which ``JSONValue`` bounds.
  package mutating func value(_ value: JSONValue) {
    switch value {
    case .null: literal("null")
    case .bool(let flag): literal(flag ? "true" : "false")
    case .number(let digits): number(digits)
    case .string(let text): string(text)
    case .array(let items):
      beginArray(ofNumbers: items.allSatisfy { if case .number = $0 { true } else { false } })
      for item in items { self.value(item) }
      end()
    case .object(let members):
      beginObject()
      for member in members {
        name(member.name)
        self.value(member.value)
      }
      end()
    }
  }

  private static let nonFinite = ["NaN": "nan", "Infinity": "inf", "-Infinity": "-inf"]

  private mutating func literal(_ text: String) {
    separate()
    append(text)
  }

  private mutating func begin(_ start: Unicode.Scalar, _ close: Unicode.Scalar, hasLines: Bool) {
    separate()
    bytes.append(UInt8(ascii: start))
    let isInLines = open.last?.hasLines ?? true
    open.append(Container(close: close, hasLines: style.hasLines && hasLines && isInLines))
  }

  /// What stands before the next name or value.
  private mutating func separate() {
    if isBehindName {
      isBehindName = false
      return
    }
    guard let index = open.indices.last else { return }
    let isFirst = open[index].isEmpty
    open[index].isEmpty = false
    if open[index].hasLines {
      append(isFirst ? "\n" : ",\n")
      indent()
    } else if !isFirst {
      append(style.itemSeparator)
    }
  }

  private mutating func indent() {
    bytes.append(contentsOf: repeatElement(UInt8(ascii: " "), count: 2 * open.count))
  }

  private mutating func append(_ text: String) { bytes.append(contentsOf: text.utf8) }

  // MARK: - Strings

  private mutating func quote(_ text: String) {
    bytes.append(UInt8(ascii: "\""))
    switch style.escapes {
    case .needed:
      for byte in text.utf8 {
        if byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") {
          escape(UInt16(byte))
        } else {
          bytes.append(byte)
        }
      }
    case .control:
      for scalar in text.unicodeScalars {
        if scalar.value < 0x20 || scalar == "\"" || scalar == "\\"
          || (0x7F..<0xA0).contains(scalar.value)
        {
          escape(UInt16(truncatingIfNeeded: scalar.value))
        } else {
          append(String(scalar))
        }
      }
    case .beyondASCII:
      for unit in text.utf16 {
        if (0x20..<0x7F).contains(unit), unit != 0x22, unit != 0x5C {
          bytes.append(UInt8(truncatingIfNeeded: unit))
        } else {
          escape(unit)
        }
      }
    }
    bytes.append(UInt8(ascii: "\""))
  }

  private mutating func escape(_ unit: UInt16) {
    if let short = Self.short[unit] { return append(short) }
    let digits = String(unit, radix: 16)
    append("\\u" + String(repeating: "0", count: 4 - digits.count) + digits)
  }

  private static let short: [UInt16: String] = [
    0x08: "\\b", 0x09: "\\t", 0x0A: "\\n", 0x0C: "\\f", 0x0D: "\\r", 0x22: "\\\"", 0x5C: "\\\\",
  ]
}
