internal import Foundation

/// Formats text and numbers for HTML pages.
package enum HTMLText {
  /// Text with HTML's special characters escaped; what has no shape of its own is
  /// replaced by U+FFFD.
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
        // U+FFFE and U+FFFF are not characters, and invalid in XML, which inline pictures are.
        let isNone = scalar.value & 0xFFFE == 0xFFFE
        if Text.isUnprintable(scalar) || isNone {
          result += "\u{FFFD}"
        } else {
          result.unicodeScalars.append(scalar)
        }
      }
    }
    return result
  }

  /// A number with four significant digits.
  package static func number(_ value: Double) -> String {
    if value.isNaN { return "–" }
    if value.isInfinite { return value < 0 ? "−∞" : "∞" }
    return String(format: "%.4g", value).replacing("-", with: "−")
  }

  /// An integer with its digits in groups of three.
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

  /// A fraction from 0 to 1 in percent, with one decimal place.
  package static func percent(_ share: Double) -> String {
    guard share.isFinite else { return number(share) }
    return String(format: "%.1f\u{202F}%%", share * 100).replacing("-", with: "−")
  }

  /// A table cell that is sorted by `value` and shows `text`, or the value.
  package static func cell(_ value: Double, _ text: String? = nil) -> String {
    "<td class=\"n\" data-v=\"\(value.isNaN ? "" : "\(value)")\">\(text ?? number(value))</td>"
  }
}
