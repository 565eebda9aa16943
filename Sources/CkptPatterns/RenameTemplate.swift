/// The replacement for a match of a regular expression: text with `$1`, `${name}`, and `$$`.
struct RenameTemplate: Sendable {
  private enum Piece: Sendable {
    case text(String), group(Int)
  }

  private var pieces: [Piece] = []

  /// Parses a template that refers to the groups of `regex`.
  ///
  /// - Throws: ``PatternError`` with the position of the error.
  init(_ template: String, for regex: KeyRegex) throws(PatternError) {
    let text = Array(template.unicodeScalars)
    func string(_ range: Range<Int>) -> String { String(String.UnicodeScalarView(text[range])) }
    var start = 0
    var position = 0
    while position < text.count {
      if text[position] == "\\", position + 1 < text.count,
        ("0"..."9").contains(text[position + 1])
          || text[position + 1] == "g" && position + 2 < text.count && text[position + 2] == "<"
      {
        // As in Python's re.sub and in sed.
        throw PatternError(
          rename: template, "a group is written $1 or ${name}, not \\1 or \\g<name>", at: position)
      }
      guard text[position] == "$" else {
        position += 1
        continue
      }
      pieces.append(.text(string(start..<position)))
      let dollar = position
      position += 1
      var name: String
      if position < text.count, text[position] == "$" {
        pieces.append(.text("$"))
        position += 1
        start = position
        continue
      } else if position < text.count, text[position] == "{",
        let end = text[position...].firstIndex(of: "}")
      {
        name = string(position + 1..<end)
        position = end + 1
      } else {
        let end = text[position...].firstIndex { !("0"..."9").contains($0) } ?? text.count
        name = string(position..<end)
        position = end
      }
      guard let number = Int(name) ?? regex.groupNames[name] else {
        let problem =
          name.isEmpty
          ? "a \"$\" in a template is $1, ${name} or $$" : "no group is called \"\(name)\""
        throw PatternError(rename: template, problem, at: dollar)
      }
      guard (0..<regex.groupCount).contains(number) else {
        throw PatternError(rename: template, "there is no group \(number)", at: dollar)
      }
      pieces.append(.group(number))
      start = position
    }
    pieces.append(.text(string(start..<text.count)))
  }

  /// Appends the replacement for one match in `key`.
  func append(
    to renamed: inout String.UnicodeScalarView, _ key: [Unicode.Scalar], _ groups: KeyRegex.Groups
  ) {
    for piece in pieces {
      switch piece {
      case .text(let text): renamed.append(contentsOf: text.unicodeScalars)
      case .group(let number):
        if let range = groups[number] { renamed.append(contentsOf: key[range]) }
      }
    }
  }
}
