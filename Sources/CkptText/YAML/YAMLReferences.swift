/// Counts anchors and aliases before a text is parsed, since a chain of them can be nested as
/// deeply as there are aliases, and the parser expands aliases in keys.
///
/// Quotation marks and comments are not considered, so the count may be too large, but never too
/// small.
enum YAMLReferences {
  /// The number of anchors and aliases.
  ///
  /// - Throws: ``BoundedYAML/Failure`` if there are too many, or if there are any and a key may be
  ///   an alias or a collection.
  static func count(in text: [UInt8]) throws(BoundedYAML.Failure) -> Int {
    var (count, line) = (0, 1)
    var keyLine: Int?
    var before = UInt8(ascii: "\n")
    for (index, byte) in text.enumerated() {
      switch byte {
      case UInt8(ascii: "*"), UInt8(ascii: "&"):
        guard canEndToken(before) else { break }
        count += 1
        if byte == UInt8(ascii: "*"), isKey(text, behind: endOfName(text, index + 1)) {
          keyLine = keyLine ?? line
        }
      case UInt8(ascii: "?"):
        if canEndToken(before), index + 1 == text.count || isBlank(text[index + 1]) {
          keyLine = keyLine ?? line
        }
      case UInt8(ascii: "]"), UInt8(ascii: "}"):
        if isKey(text, behind: index + 1) { keyLine = keyLine ?? line }
      case UInt8(ascii: "\n"): line += 1
      default: break
      }
      guard count <= BoundedYAML.referenceLimit else {
        throw BoundedYAML.Failure(
          problem: "has more than \(BoundedYAML.referenceLimit) anchors and aliases", line: line)
      }
      before = byte
    }
    if count > 0, let keyLine {
      throw BoundedYAML.Failure(problem: "has anchors, and a key that is no text", line: keyLine)
    }
    return count
  }

  /// Whether a token may begin after the byte: whitespace, the characters that start or separate
  /// items, and the last bytes of YAML's non-ASCII line breaks.
  private static func canEndToken(_ byte: UInt8) -> Bool {
    isBlank(byte) || ",[{:-?".utf8.contains(byte) || byte == 0xBF
  }

  /// Whether the byte is whitespace, or belongs to a non-ASCII line break (NEL, LS, PS).
  private static func isBlank(_ byte: UInt8) -> Bool {
    byte <= 0x20 || [0xC2, 0x85, 0xE2, 0x80, 0xA8, 0xA9].contains(byte)
  }

  private static func endOfName(_ text: [UInt8], _ start: Int) -> Int {
    text[start...].firstIndex { isBlank($0) || ",[]{}:".utf8.contains($0) } ?? text.count
  }

  /// Whether the next token, after whitespace and comments, is a colon.
  private static func isKey(_ text: [UInt8], behind start: Int) -> Bool {
    var index = start
    while index < text.count {
      if text[index] == UInt8(ascii: "#") {
        index = text[index...].firstIndex(of: UInt8(ascii: "\n")) ?? text.count
      } else if isBlank(text[index]) {
        index += 1
      } else {
        return text[index] == UInt8(ascii: ":")
      }
    }
    return false
  }
}
