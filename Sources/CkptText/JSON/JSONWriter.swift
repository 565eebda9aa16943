/// Writes JSON token by token, in one of several layouts.
package struct JSONWriter {
  /// The layout of the text.
  package struct Style: Sendable {
    /// The characters in strings that are escaped.
    package enum Escapes: Sendable {
      /// Only those that must be escaped, as in serde_json.
      case needed
      /// Also what is not printable, so that the text is safe to print in a terminal.
      case control
      /// All characters other than printable ASCII, as in Python's `json.dumps`.
      case beyondASCII
    }

    /// The characters that are escaped.
    package var escapes = Escapes.needed
    /// Whether each member and item is on a separate line, indented by two spaces per level.
    package var hasLines = true
    /// The separator of two items on one line.
    package var itemSeparator = ", "
    /// The separator of a name and its value.
    package var nameSeparator = ": "
    /// Whether an array that contains only numbers is written on one line.
    package var keepsNumbersTogether = false
    /// Whether an empty object or array contains an empty line.
    package var opensEmpty = false
    /// Whether NaN and infinite numbers are written as the strings `nan`, `inf`, and `-inf`, so
    /// that any JSON reader accepts the text.
    package var nonFiniteAsText = false

    /// Human-readable, on several lines.
    package static let readable = Style(escapes: .control, keepsNumbersTogether: true)
    /// Human-readable, on one line.
    package static let oneLine = Style(escapes: .control, hasLines: false)
    /// Without spaces, as in serde_json; for safetensors headers.
    package static let compact = Style(hasLines: false, itemSeparator: ",", nameSeparator: ":")
    /// As in Python's `json.dumps(indent=2)`; for the index files of sharded checkpoints.
    package static let python = Style(escapes: .beyondASCII)
    /// As in Foundation's encoder with pretty printing; for the reports of `ckpt`.
    package static let report = Style(
      escapes: .control, nameSeparator: " : ", opensEmpty: true)
  }

  private struct Container {
    let close: Unicode.Scalar
    let hasLines: Bool
    var isEmpty = true
  }

  private let style: Style
  private var open: [Container] = []
  /// Whether a name has been written and its value is next.
  private var isBehindName = false
  /// The bytes written so far, without those taken.
  package private(set) var bytes: [UInt8] = []

  /// Creates an empty writer.
  package init(_ style: Style) { self.style = style }

  /// Returns the bytes written since the last call and removes them, so that long texts can be
  /// printed in parts.
  package mutating func takeBytes() -> [UInt8] {
    defer { bytes.removeAll(keepingCapacity: true) }
    return bytes
  }

  // MARK: - Parts

  /// Begins an object, followed by its members, each a name and a value.
  package mutating func beginObject() { begin("{", "}", hasLines: true) }

  /// Begins an array, followed by its items.
  ///
  /// - Parameter ofNumbers: whether all items are numbers.
  package mutating func beginArray(ofNumbers: Bool = false) {
    begin("[", "]", hasLines: !(ofNumbers && style.keepsNumbersTogether))
  }

  /// Ends the innermost open object or array.
  package mutating func end() {
    guard let last = open.popLast() else { return }
    if last.hasLines, !last.isEmpty || style.opensEmpty {
      if last.isEmpty { append("\n") }
      append("\n")
      indent()
    }
    bytes.append(UInt8(ascii: last.close))
  }

  /// Writes the name of a member; its value must follow.
  package mutating func name(_ text: String) {
    separate()
    quote(text)
    append(style.nameSeparator)
    isBehindName = true
  }

  /// Writes a string.
  package mutating func string(_ text: String) {
    separate()
    quote(text)
  }

  /// Writes an integer.
  package mutating func integer(_ value: Int) { number("\(value)") }

  /// Writes a number given as text.
  package mutating func number(_ digits: String) {
    separate()
    if style.nonFiniteAsText, let text = Self.nonFinite[digits] { return quote(text) }
    append(digits)
  }

  /// Writes a value. The function is recursive; ``JSONValue`` limits the depth.
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

  /// Writes the separator before the next name or value.
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
        if scalar == "\"" || scalar == "\\" || Text.isUnprintable(scalar) {
          for unit in String(scalar).utf16 { escape(unit) }
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
