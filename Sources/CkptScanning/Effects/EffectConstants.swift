internal import CkptBytes
internal import CkptPickle

extension EffectMachine {
  /// The value of an opcode for a number, a str, or bytes.
  mutating func constant(_ opcode: Opcode, at offset: Int) throws -> EffectValue {
    switch opcode {
    case .binInt: .int(Int32(truncatingIfNeeded: try input.number(4)))
    case .binInt1: .int(Int32(try input.number(1)))
    case .binInt2: .int(Int32(try input.number(2)))
    case .int, .long, .float: try numberLine(opcode, at: offset)
    case .binFloat: try float()
    case .long1, .long4:
      try long(try input.count(opcode == .long1 ? 1 : 4, isSigned: opcode == .long4))
    case .binString, .shortBinString:
      try byteString(
        try input.count(opcode == .binString ? 4 : 1, isSigned: opcode == .binString))
    case .binBytes: try bytes(try input.count(4))
    case .shortBinBytes: try bytes(try input.count(1))
    case .binBytes8: try bytes(try input.count(8))
    case .byteArray8: try byteArray(try input.count(8))
    case .string: try quotedLine(at: offset)
    case .unicode: try escapedLine(at: offset)
    case .shortBinUnicode: try text(try input.count(1))
    case .binUnicode: try text(try input.count(4))
    default: try text(try input.count(8))
    }
  }

  private mutating func text(_ count: Int) throws -> EffectValue {
    let start = input.position
    let range = start..<start + count
    if let text = try input.text(count, keeping: EffectTables.textLimit) {
      return tables.add(text: text[...], in: range, .utf8)
    }
    return tables.add(longText: range, .utf8)
  }

  /// The content of a constant str that could be a name; nil for other values.
  ///
  /// - Throws: what reading throws.
  mutating func text(_ value: EffectValue) throws -> String? {
    guard case .farText(let start) = value else { return tables.text(value) }
    guard rereadsLeft > 0 else { return nil }
    rereadsLeft -= input.isRandomAccess ? 1 : 1000
    return try input.text(at: Int(start), limit: EffectTables.textLimit)
  }

  /// A str of Python 2, which its reader may decode as ASCII, UTF-8 or Latin-1.
  private mutating func byteString(_ count: Int) throws -> EffectValue {
    let start = input.position
    guard count <= EffectTables.textLimit else {
      try input.skip(count)
      return .plain(.text)
    }
    let bytes = Self.decoded(try input.bytes(count))
    return tables.add(text: bytes[...], in: start..<start + count, .plain)
  }

  private mutating func bytes(_ count: Int) throws -> EffectValue {
    let start = input.position
    try input.skip(count)
    return tables.add(bytes: EmbeddedFile(range: start..<start + count, encoding: .plain))
  }

  private mutating func float() throws -> EffectValue {
    _ = try input.number(8)
    return .plain(.number)
  }

  private mutating func byteArray(_ count: Int) throws -> EffectValue {
    try input.skip(count)
    return .container(.byteArray)
  }

  private mutating func long(_ count: Int) throws -> EffectValue {
    guard count <= 4 else {
      try input.skip(count)
      return .plain(.number)
    }
    let value = Int64(twosComplement: try input.bytes(count))
    return Int32(exactly: value).map { .int($0) } ?? .plain(.number)
  }

  private mutating func numberLine(_ opcode: Opcode, at offset: Int) throws -> EffectValue {
    guard let line = try input.line(keeping: 8192) else {
      input.dispute("a number that readers understand differently", at: offset)
      return .plain(.number)
    }
    let reading =
      switch opcode {
      case .int: NumberLine.int(line[...])
      case .long: NumberLine.long(line[...])
      default: NumberLine.float(line[...])
      }
    switch reading {
    case .invalid: throw EffectStop(what: "a number that is none", offset: offset)
    case .disputed: input.dispute("a number that readers understand differently", at: offset)
    case .agreed: break
    }
    if opcode == .int, line.elementsEqual("00".utf8) || line.elementsEqual("01".utf8) {
      return .plain(.bool)
    }
    guard opcode != .float else { return .plain(.number) }
    let digits = line.last == UInt8(ascii: "L") ? line.dropLast() : line[...]
    return Int32(String(decoding: digits, as: UTF8.self)).map { .int($0) } ?? .plain(.number)
  }

  private mutating func quotedLine(at offset: Int) throws -> EffectValue {
    let start = input.position
    guard let line = try input.line(keeping: 4 * EffectTables.textLimit + 2) else {
      return .plain(.text)
    }
    guard let text = PickleText.decodeQuoted(line[...]) else {
      throw EffectStop(what: "a str without its quotes, or with a broken escape", offset: offset)
    }
    guard text.count <= EffectTables.textLimit else { return .plain(.text) }
    return tables.add(text: Self.decoded(text)[...], in: start..<start + line.count, .plain)
  }

  /// The UTF-8 of a str of Python 2: the bytes, or Latin-1 if they are no UTF-8.
  private static func decoded(_ bytes: [UInt8]) -> [UInt8] {
    guard !PickleText.isPythonUTF8(bytes[...]) else { return bytes }
    return Array(String(String.UnicodeScalarView(bytes.map { Unicode.Scalar($0) })).utf8)
  }

  private mutating func escapedLine(at offset: Int) throws -> EffectValue {
    let start = input.position
    guard let line = try input.line(keeping: 10 * EffectTables.textLimit) else {
      return tables.add(longText: start..<input.position - 1, .escaped)
    }
    guard let text = PickleText.decodeRawUnicodeEscape(line[...]) else {
      throw EffectStop(what: "a str with a broken escape", offset: offset)
    }
    return tables.add(text: text[...], in: start..<start + line.count, .escaped)
  }

  /// The two lines of GLOBAL and INST, as constants; nil where a line is too long to be a name.
  mutating func lines(at offset: Int, isASCII: Bool) throws -> [String?] {
    var names: [String?] = []
    for _ in 0..<2 {
      switch try input.name(keeping: EffectTables.textLimit) {
      case .long: names.append(nil)
      case .whole(let line):
        if line.isEmpty { input.dispute("a name without a letter", at: offset) }
        guard let name = String(validating: line, as: UTF8.self),
          !isASCII || line.allSatisfy({ $0 < 0x80 })
        else { throw EffectStop(what: "a name that is no text", offset: offset) }
        names.append(name)
      case .cut(let line):
        // `pickle.py` takes the last byte for the newline, and imports the name.
        if let name = String(validating: line.dropLast(), as: UTF8.self) {
          let name = isASCII && !name.utf8.allSatisfy { $0 < 0x80 } ? nil : name
          if case let module?? = names.first {
            _ = try name.map { try imported(module, $0, at: offset) }
          } else if names.isEmpty {
            _ = try name.map { try imported($0, "", at: offset) }
          }
        }
        throw EffectStop(what: "the pickle ends early", offset: input.end)
      }
    }
    return names
  }
}
