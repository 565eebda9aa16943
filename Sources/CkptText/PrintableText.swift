/// Formats text from files for display.
package enum Text {
  /// The text on one line, with escape sequences instead of characters that could move a terminal's
  /// cursor, color it, change the direction of text, or hide what follows; see
  /// ``isUnprintable(_:)``. All other text is unchanged, also a backslash.
  package static func escaped(_ text: String) -> String {
    if text.utf8.allSatisfy({ (32..<127).contains($0) }) { return text }
    var result = ""
    result.reserveCapacity(text.utf8.count)
    for scalar in text.unicodeScalars { append(scalar, to: &result) }
    return result
  }

  /// The escaped text, truncated if it is long.
  package static func printable(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars.prefix(400) { append(scalar, to: &result) }
    return text.unicodeScalars.dropFirst(400).isEmpty ? result : result + "…"
  }

  /// The printable text in quotation marks.
  package static func quoted(_ text: String) -> String { "\"\(printable(text))\"" }

  /// Whether a character has no shape of its own and an effect on others: control characters, line
  /// and paragraph separators, and format characters, such as those that change the direction of
  /// text. The joiners, without which some languages and emojis are not written correctly, are
  /// printable.
  package static func isUnprintable(_ scalar: Unicode.Scalar) -> Bool {
    if scalar.value < 0xA0 { return scalar.value < 32 || scalar.value >= 127 }
    if scalar.value == 0x200C || scalar.value == 0x200D { return false }
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator: return true
    default: return false
    }
  }

  private static func append(_ scalar: Unicode.Scalar, to result: inout String) {
    guard isUnprintable(scalar) else { return result.unicodeScalars.append(scalar) }
    switch scalar {
    case "\n": result += "\\n"
    case "\t": result += "\\t"
    case "\r": result += "\\r"
    default:
      let digits = String(scalar.value, radix: 16)
      if scalar.value < 0x100 {
        result += "\\x" + (digits.count < 2 ? "0" : "") + digits
      } else {
        result += "\\u{\(digits)}"
      }
    }
  }
}
