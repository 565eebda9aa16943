/// A template in Jinja's language, by which a model's prompts are made.
///
/// Jinja evaluates the expressions between braces. Outside of its sandbox, and in programs that do
/// not use it, an expression can reach Python's modules by the attributes of any object
/// (CVE-2024-34359).
enum ChatTemplate {
  /// What a template reaches.
  struct Reach: Hashable {
    let what: String
    let rating: GlobalRating
  }

  /// The maximum number of bytes of a template.
  static let byteLimit = 4 << 20

  /// Attributes that lead from an object to its class, its module, or the interpreter.
  private static let leading: Set<String> = [
    "mro", "gi_frame", "gi_code", "cr_frame", "f_globals", "f_builtins", "f_locals", "f_back",
    "tb_frame", "func_globals", "func_code", "popen", "os", "sys", "subprocess", "importlib",
    "builtins", "environ", "eval", "exec", "system", "_TemplateReference__context", "_module",
    "_load_form_data",
  ]

  /// What the expressions of a template reach, each once.
  static func reaches(of text: String) -> [Reach] {
    var found: [Reach] = []
    func add(_ what: String, _ rating: GlobalRating) {
      let reach = Reach(what: what, rating: rating)
      if !found.contains(reach), found.count < 100 { found.append(reach) }
    }
    for block in blocks(in: Array(text.utf8)) {
      for token in tokens(of: block) {
        switch token {
        case .name(let name, let isAttribute, let isCalled):
          if isDunder(name) {
            add("reaches \(name)", .dangerous)
          } else if leading.contains(name), isAttribute || name == "os" || name == "sys" {
            add("reaches \(name)", .dangerous)
          } else if isAttribute == false, isCalled, name == "lipsum" {
            add("calls lipsum", .unknown)
          } else if ["attr", "import_module"].contains(name), isCalled {
            add("takes an attribute by a name that is computed (\(name))", .dangerous)
          }
        case .string(let value):
          if isDunderInside(value) {
            add("holds the text \(value.prefix(60))", .dangerous)
          } else if value.contains("\\x5f") || value.contains("\\137") || value.contains("\\u005f")
          {
            add("holds an underscore that is written as an escape", .dangerous)
          } else if value.contains("__") || (!value.isEmpty && value.allSatisfy { $0 == "_" }) {
            add("holds underscores from which a name could be made", .unknown)
          } else if value.contains("%c") {
            add("makes text of the numbers of characters", .unknown)
          }
        }
      }
    }
    return found
  }

  private static func isDunder(_ name: String) -> Bool {
    name.utf8.count > 4 && name.hasPrefix("__") && name.hasSuffix("__")
  }

  private static func isDunderInside(_ text: String) -> Bool {
    guard let start = text.utf8.firstRange(of: "__".utf8) else { return false }
    let rest = text.utf8[start.upperBound...]
    guard let end = rest.firstRange(of: "__".utf8) else { return false }
    let name = rest[..<end.lowerBound]
    // Names of Python are in small letters; markers such as __TOOL__ are not.
    return !name.isEmpty && name.allSatisfy { (0x61...0x7A).contains($0) || $0 == 0x5F }
  }

  /// The contents of `{{ … }}` and `{% … %}`.
  private static func blocks(in bytes: [UInt8]) -> [ArraySlice<UInt8>] {
    var blocks: [ArraySlice<UInt8>] = []
    var index = 0
    while index < bytes.count - 1 {
      guard bytes[index] == UInt8(ascii: "{"),
        bytes[index + 1] == UInt8(ascii: "{") || bytes[index + 1] == UInt8(ascii: "%")
      else {
        index += 1
        continue
      }
      let close: UInt8 =
        bytes[index + 1] == UInt8(ascii: "{") ? UInt8(ascii: "}") : UInt8(ascii: "%")
      let start = index + 2
      index = start
      // An end inside of a text does not count.
      var quote: UInt8?
      while index < bytes.count {
        let byte = bytes[index]
        if let open = quote {
          if byte == 0x5C { index += 1 } else if byte == open { quote = nil }
        } else if byte == 0x22 || byte == 0x27 {
          quote = byte
        } else if byte == close, index + 1 < bytes.count, bytes[index + 1] == UInt8(ascii: "}") {
          break
        }
        index += 1
      }
      blocks.append(bytes[start..<min(index, bytes.count)])
    }
    return blocks
  }

  private enum Token {
    case name(String, isAttribute: Bool, isCalled: Bool)
    case string(String)
  }

  private static func tokens(of block: ArraySlice<UInt8>) -> [Token] {
    var tokens: [Token] = []
    var index = block.startIndex
    var before: UInt8 = 0
    func isWord(_ byte: UInt8) -> Bool {
      (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || byte == 0x5F
        || (0x61...0x7A).contains(byte) || byte >= 0x80
    }
    while index < block.endIndex {
      let byte = block[index]
      let start = index
      if byte == 0x22 || byte == 0x27 {
        index += 1
        while index < block.endIndex, block[index] != byte {
          index += block[index] == 0x5C ? 2 : 1
        }
        let end = min(index, block.endIndex)
        tokens.append(.string(String(decoding: block[(start + 1)..<end], as: UTF8.self)))
        index = min(index + 1, block.endIndex)
      } else if isWord(byte) {
        while index < block.endIndex, isWord(block[index]) { index += 1 }
        let next = block[index...].first { $0 != 0x20 }
        tokens.append(
          .name(
            String(decoding: block[start..<index], as: UTF8.self),
            isAttribute: before == UInt8(ascii: "."), isCalled: next == UInt8(ascii: "(")))
      } else {
        index += 1
      }
      if byte != 0x20, byte != 0x0A { before = byte }
    }
    return tokens
  }
}
