internal import CkptText
internal import Foundation
internal import CkptPlatform
internal import CkptStateDicts
internal import Yams

/// A node of the YAML subset for model descriptions: mappings, lists, and words, each with its
/// line.
///
/// Anchors, aliases, and tags are rejected, and so are quotation marks and comments that could
/// contain them or brackets. ``BoundedYAML`` has the limits for all YAML texts.
struct PlainYAML: Sendable {
  /// The content of a node.
  enum Content: Sendable {
    case word(String)
    case list([PlainYAML])
    case mapping([Entry])
  }

  /// A key of a mapping and its value.
  struct Entry: Sendable {
    let key: String
    let line: Int
    let value: PlainYAML
  }

  let content: Content
  let line: Int

  /// The largest depth of nested brackets, and the largest indentation in columns.
  static let deepest = (brackets: 16, columns: 120)

  /// Parses a text; the result for an empty text is an empty mapping.
  ///
  /// - Throws: `DescriptionError.malformed`.
  init(_ text: String, file: String) throws {
    func bad(_ problem: String, _ line: Int?, hint: Remedy? = nil) -> DescriptionError {
      .malformed(.init(file: file, line: line), problem: problem, hint: hint)
    }
    guard text.utf8.count <= BoundedYAML.Size.document.rawValue else {
      throw bad("a description has at most \(BoundedYAML.Size.document.text)", nil)
    }
    if let (line, problem, hint) = PlainYAMLScanner.findFault(in: Array(text.utf8)) {
      throw bad(problem, line, hint: hint)
    }
    do {
      guard let node = try BoundedYAML.root(of: text, .document) else {
        (content, line) = (.mapping([]), 1)
        return
      }
      self = try Self.convert(node, file: file)
    } catch let failure as BoundedYAML.Failure {
      throw bad(failure.problem, failure.line)
    }
  }

  private init(_ content: Content, line: Int) {
    self.content = content
    self.line = line
  }

  /// Converts a node of the parser. The scanner limits the depth of the recursion.
  private static func convert(_ node: Node, file: String) throws -> PlainYAML {
    let line = node.mark?.line ?? 1
    switch node {
    case .scalar(let scalar): return PlainYAML(.word(scalar.string), line: line)
    case .sequence(let items):
      return PlainYAML(.list(try items.map { try convert($0, file: file) }), line: line)
    case .mapping(let entries):
      return PlainYAML(
        .mapping(
          try entries.map { key, value in
            guard let name = key.scalar?.string, !name.isEmpty else {
              throw DescriptionError.malformed(
                .init(file: file, line: key.mark?.line), problem: "a name should stand here",
                hint: nil)
            }
            return Entry(
              key: name, line: key.mark?.line ?? line, value: try convert(value, file: file))
          }), line: line)
    case .alias:
      throw DescriptionError.malformed(
        .init(file: file, line: line), problem: "aliases are not taken", hint: nil)
    }
  }
}

/// Finds syntax outside of the YAML subset, and nesting that is too deep.
///
/// Every count is at least the parser's, because quotation marks and comments must not contain
/// structure.
private enum PlainYAMLScanner {
  static let aliasHint: Remedy =
    "what is used several times stands under \"blocks\"; a product has a space on either side of *"

  static func findFault(in text: [UInt8]) -> (line: Int, problem: String, hint: Remedy?)? {
    var line = 1
    var brackets = 0
    var column = 0
    var isAtStart = true
    var offset = 0
    var last = UInt8(ascii: "\n")
    while offset < text.count {
      let byte = text[offset]
      let next = offset + 1 < text.count ? text[offset + 1] : UInt8(ascii: "\n")
      // Line breaks that only some parsers support would end a comment for them.
      if byte == 0xC2 && next == 0x85
        || byte == 0xE2 && next == 0x80
          && offset + 2 < text.count && [0xA8, 0xA9].contains(text[offset + 2])
      {
        return (line, "a line ends in a character of Unicode for it", nil)
      }
      switch byte {
      case UInt8(ascii: "#"):
        if isBlank(last) {
          while offset + 1 < text.count, !isBreak(text[offset + 1]) {
            let (here, behind) = (text[offset + 1], offset + 2)
            if here == 0xC2 || here == 0xE2, behind < text.count,
              here == 0xC2 && text[behind] == 0x85
                || here == 0xE2 && text[behind] == 0x80 && behind + 1 < text.count
                  && [0xA8, 0xA9].contains(text[behind + 1])
            {
              return (line, "a line ends in a character of Unicode for it", nil)
            }
            offset += 1
          }
        } else if ",[]{}\"'".utf8.contains(last) {
          return (line, "a comment has a space before #", nil)
        }
      case UInt8(ascii: "\""), UInt8(ascii: "'"):
        var end = offset + 1
        while end < text.count, isWordPart(text[end]) { end += 1 }
        guard end > offset + 1, end < text.count, text[end] == byte else {
          return (
            line, "quotation marks hold letters, digits and . _ - + / only, and are not needed", nil
          )
        }
        isAtStart = false
        offset = end
      case UInt8(ascii: "["), UInt8(ascii: "{"):
        brackets += 1
        isAtStart = false
        if brackets > PlainYAML.deepest.brackets { return (line, "brackets nest too deeply", nil) }
      case UInt8(ascii: "]"), UInt8(ascii: "}"):
        brackets = max(brackets - 1, 0)
        isAtStart = false
      case UInt8(ascii: "*"), UInt8(ascii: "&"), UInt8(ascii: "!"):
        isAtStart = false
        // "*name", "&name", and "!name" have a meaning only at the start of a word.
        if isBlank(last) || ",[{:".utf8.contains(last), !isBlank(next), next != UInt8(ascii: "=") {
          return (line, "anchors, aliases and tags are not taken", aliasHint)
        }
      case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "-"), UInt8(ascii: "?"),
        UInt8(ascii: ":"):
        break
      case UInt8(ascii: "\n"), UInt8(ascii: "\r"):
        if byte == UInt8(ascii: "\n") || next != UInt8(ascii: "\n") { line += 1 }
        isAtStart = true
        column = -1
      default: isAtStart = false
      }
      column += 1
      if isAtStart, column > PlainYAML.deepest.columns {
        return (line, "is indented too far", nil)
      }
      last = text[min(offset, text.count - 1)]
      offset += 1
    }
    return nil
  }

  private static func isBreak(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r")
  }

  private static func isBlank(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") || isBreak(byte)
  }

  private static func isWordPart(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"):
      true
    default: "._-+/".utf8.contains(byte)
    }
  }
}
