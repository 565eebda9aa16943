/// What a match of a regular expression becomes: text, `$1`, `${name}`, `$$`.
struct RenameTemplate: Sendable {
  private enum Piece: Sendable {
    case text(String), group(Int)
  }

  private var pieces: [Piece] = []

  /// Reads a template whose groups are those of `regex`.
  ///
  /// - Throws: ``PatternError`` with the place.
  init(_ template: String, for regex: KeyRegex) throws(PatternError) {
    let text = Array(template.unicodeScalars)
    func string(_ range: Range<Int>) -> String { String(String.UnicodeScalarView(text[range])) }
    var start = 0
    var place = 0
    while place < text.count {
      if text[place] == "\\", place + 1 < text.count,
        ("0"..."9").contains(text[place + 1])
          || text[place + 1] == "g" && place + 2 < text.count && text[place + 2] == "<"
      {
        // As in Python's re.sub and in sed.
        throw PatternError(
          rename: template, "a group is written $1 or ${name}, not \\1 or \\g<name>", at: place)
      }
      guard text[place] == "$" else {
        place += 1
        continue
      }
      pieces.append(.text(string(start..<place)))
      let dollar = place
      place += 1
      var name: String
      if place < text.count, text[place] == "$" {
        pieces.append(.text("$"))
        place += 1
        start = place
        continue
      } else if place < text.count, text[place] == "{",
        let end = text[place...].firstIndex(of: "}")
      {
        name = string(place + 1..<end)
        place = end + 1
      } else {
        let end = text[place...].firstIndex { !("0"..."9").contains($0) } ?? text.count
        name = string(place..<end)
        place = end
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
      start = place
    }
    pieces.append(.text(string(start..<text.count)))
  }

  /// Appends what the template makes of one match in `key`.
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
