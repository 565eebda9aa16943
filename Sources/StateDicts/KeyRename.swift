/// One rule of how keys are to be called.
public enum KeyRename: Sendable, Hashable {
  /// Takes the text away where a key begins with it.
  case stripPrefix(String)
  /// Puts the text before each key.
  case addPrefix(String)
  /// Where a key begins with the first text, the second stands instead.
  case replacePrefix(String, with: String)
  /// Each occurrence of the first text becomes the second, as Python's `str.replace` does.
  case replace(String, with: String)
  /// Each match of the regular expression becomes the template: `$1`, `${name}`, `$$`.
  case regex(String, template: String)
  /// Keys that are in the mapping get the name that it gives.
  case map([String: String])

  /// Reads `OLD=NEW`; `\=` stands for an equals sign in OLD.
  public static func pair(_ written: String) throws(StateDictError) -> (old: String, new: String) {
    var old = ""
    var rest = written[...]
    while let scalar = rest.first {
      rest = rest.dropFirst()
      if scalar == "=" { return (old, String(rest)) }
      if scalar == "\\", rest.first == "=" {
        rest = rest.dropFirst()
        old.append("=")
      } else {
        old.append(scalar)
      }
    }
    throw .badRename(written, problem: "write OLD=NEW")
  }

  /// Reads `RE=>TEMPLATE`.
  public static func regexRule(_ written: String) throws(StateDictError) -> KeyRename {
    guard let arrow = written.utf8.firstRange(of: Array("=>".utf8), from: 0) else {
      throw .badRename(written, problem: "write RE=>TEMPLATE")
    }
    let start = written.utf8.index(written.startIndex, offsetBy: arrow.lowerBound)
    let end = written.utf8.index(start, offsetBy: 2)
    return .regex(String(written[..<start]), template: String(written[end...]))
  }

  /// What gives a key its new name; made once for many keys.
  func renamer() throws(StateDictError) -> (String) -> String {
    switch self {
    case .stripPrefix(let prefix):
      return try KeyRename.replacePrefix(prefix, with: "").renamer()
    case .addPrefix(let prefix):
      return { prefix + $0 }
    case .replacePrefix(let old, let new):
      guard !old.isEmpty else { throw .badRename(old, problem: "the prefix is empty") }
      let bytes = Array(old.utf8)
      return { key in
        guard key.utf8.starts(with: bytes) else { return key }
        return new + String(decoding: key.utf8.dropFirst(bytes.count), as: UTF8.self)
      }
    case .replace(let old, let new):
      guard !old.isEmpty else { throw .badRename(old, problem: "the text to replace is empty") }
      let bytes = Array(old.utf8)
      return { key in
        var renamed: [UInt8] = []
        var place = 0
        while let range = key.utf8.firstRange(of: bytes, from: place) {
          renamed += key.utf8.dropFirst(place).prefix(range.lowerBound - place)
          renamed += new.utf8
          place = range.upperBound
        }
        return place == 0
          ? key : String(decoding: renamed + key.utf8.dropFirst(place), as: UTF8.self)
      }
    case .map(let names):
      let names = Dictionary(names.map { (StateKey($0), $1) }) { first, _ in first }
      return { names[StateKey($0)] ?? $0 }
    case .regex(let text, let template):
      let regex = try KeyPattern.regex(text)
      let pieces = try Self.pieces(of: template)
      return { key in
        var renamed = ""
        var place = key.startIndex
        for match in key.matches(of: regex) {
          renamed += key[place..<match.range.lowerBound]
          for piece in pieces {
            switch piece {
            case .text(let text): renamed += text
            case .number(let number):
              if number < match.output.count { renamed += match.output[number].substring ?? "" }
            case .name(let name): renamed += match.output[name]?.substring ?? ""
            }
          }
          place = match.range.upperBound
        }
        return renamed + key[place...]
      }
    }
  }

  private enum Piece {
    case text(String), number(Int), name(String)
  }

  private static func pieces(of template: String) throws(StateDictError) -> [Piece] {
    var pieces: [Piece] = []
    var rest = template[...]
    while let dollar = rest.firstIndex(of: "$") {
      pieces.append(.text(String(rest[..<dollar])))
      rest = rest[rest.index(after: dollar)...]
      if rest.first == "$" {
        pieces.append(.text("$"))
        rest = rest.dropFirst()
      } else if rest.first == "{", let end = rest.firstIndex(of: "}") {
        let name = String(rest[rest.index(after: rest.startIndex)..<end])
        pieces.append(Int(name).map(Piece.number) ?? .name(name))
        rest = rest[rest.index(after: end)...]
      } else {
        let digits = rest.prefix { $0.isASCII && $0.isNumber }
        guard let number = Int(digits), number >= 0 else {
          throw .badRename(template, problem: "a \"$\" in a template is $1, ${name} or $$")
        }
        pieces.append(.number(number))
        rest = rest[digits.endIndex...]
      }
    }
    return pieces + [.text(String(rest))]
  }
}
