internal import Foundation

/// Texts and numbers as they stand in a page in HTML.
package enum HTMLText {
  /// Text with what HTML would understand escaped, and control characters shown as such.
  package static func escaped(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "\"": result += "&quot;"
      case "'": result += "&#39;"
      default:
        let isControl = scalar.value < 32 || (127..<160).contains(scalar.value)
        // Marks that turn the direction round could make a key look like another.
        let turns =
          (0x202A...0x202E).contains(scalar.value) || (0x2066...0x2069).contains(scalar.value)
        // U+FFFE and U+FFFF stand for no character; XML, which pictures are in, refuses them.
        let isNone = scalar.value & 0xFFFE == 0xFFFE
        if isControl || turns || isNone {
          result += "\u{FFFD}"
        } else {
          result.unicodeScalars.append(scalar)
        }
      }
    }
    return result
  }

  /// A number of four digits.
  package static func number(_ value: Double) -> String {
    if value.isNaN { return "–" }
    if value.isInfinite { return value < 0 ? "−∞" : "∞" }
    return String(format: "%.4g", value).replacing("-", with: "−")
  }

  /// A whole number with its thousands apart.
  package static func count(_ value: Int) -> String {
    var digits = String(value.magnitude)
    var groups: [String] = []
    while digits.count > 3 {
      groups.insert(String(digits.suffix(3)), at: 0)
      digits.removeLast(3)
    }
    groups.insert(digits, at: 0)
    return (value < 0 ? "−" : "") + groups.joined(separator: "\u{202F}")
  }

  /// A share, from 0 to 1, in percent with one decimal place.
  package static func percent(_ share: Double) -> String {
    guard share.isFinite else { return number(share) }
    return String(format: "%.1f\u{202F}%%", share * 100).replacing("-", with: "−")
  }

  /// A cell of a table that is sorted by `value`.
  package static func cell(_ value: Double, _ text: String? = nil) -> String {
    "<td class=\"n\" data-v=\"\(value.isNaN ? "" : "\(value)")\">\(text ?? number(value))</td>"
  }
}
