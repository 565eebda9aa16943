/// Formats text from files for display.
package enum Text {
  /// The text on one line, without control characters, truncated if it is long.
  package static func printable(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars.prefix(400) {
      switch scalar {
      case "\n": result += "\\n"
      case "\t": result += "\\t"
      case "\r": result += "\\r"
      default:
        let isControl = scalar.value < 32 || (127..<160).contains(scalar.value)
        result += isControl ? "\\x" + String(scalar.value, radix: 16) : String(scalar)
      }
    }
    return text.unicodeScalars.count > 400 ? result + "…" : result
  }

  /// The printable text in quotation marks.
  package static func quoted(_ text: String) -> String { "\"\(printable(text))\"" }
}
