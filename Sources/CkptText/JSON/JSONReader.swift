package import CkptBytes

/// Reads JSON (RFC 8259) sequentially, token by token, in blocks.
///
/// If the structure is known, as for a header or an index, values are read without building a tree,
/// so that 100 MB of brackets need no memory. Every key is reported, so that duplicates can be
/// detected. No function is recursive. ``JSONValue`` reads values of any structure into memory.
package struct JSONReader {
  /// An error in JSON, or an unexpected value, with its position.
  package struct Failure: Error {
    /// What is wrong.
    package let problem: String
    /// The offset in bytes from the start of the file.
    package let offset: Int
  }

  private static let blockSize = 64 << 10
  /// The maximum number of bytes of a key.
  private static let keyLimit = 1 << 20

  private let source: ByteSource
  /// The file offset of the source.
  private let base: Int
  /// The maximum nesting depth of values of any structure.
  private let depthLimit: Int
  private var block: [UInt8] = []
  private var blockStart = 0
  private var position = 0

  /// Creates a reader for the bytes of `source`.
  ///
  /// - Parameters:
  ///   - base: the file offset of the source, used for the offsets of failures.
  ///   - depthLimit: the maximum nesting depth of values that are skipped or read into memory; the
  ///     default is that of serde_json, which the reference implementation of safetensors uses.
  package init(_ source: ByteSource, at base: Int = 0, depthLimit: Int = 127) {
    self.source = source
    self.base = base
    self.depthLimit = depthLimit
  }

  /// The file offset in bytes, at the next token or before it.
  package var offset: Int { base + blockStart + position }

  /// An error at the current position.
  package func failure(_ problem: String) -> Failure { Failure(problem: problem, offset: offset) }

  // MARK: - Bytes

  /// The next byte, without consuming it; nil at the end.
  ///
  /// - Throws: what reading throws.
  mutating func peek() throws -> UInt8? {
    if position == block.count {
      blockStart += block.count
      position = 0
      let count = min(Self.blockSize, source.byteCount - blockStart)
      block = count > 0 ? try source.bytes(in: blockStart..<blockStart + count) : []
    }
    return position < block.count ? block[position] : nil
  }

  private mutating func skipSpace() throws {
    while let byte = try peek(), byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 {
      position += 1
    }
  }

  /// Skips whitespace and consumes the byte `wanted`; returns false if the next byte is different.
  mutating func take(_ wanted: Unicode.Scalar) throws -> Bool {
    try skipSpace()
    return try takeNext(wanted)
  }

  /// Consumes the byte `wanted`, without skipping whitespace; returns false if the next byte is
  /// different.
  private mutating func takeNext(_ wanted: Unicode.Scalar) throws -> Bool {
    guard try peek() == UInt8(ascii: wanted) else { return false }
    position += 1
    return true
  }

  private mutating func expect(_ wanted: Unicode.Scalar, _ what: String) throws {
    guard try take(wanted) else { throw failure("\(what) is missing") }
  }

  // MARK: - Values of a known shape

  /// Reads an object. `body` is called with each key and must read its value.
  ///
  /// - Throws: ``Failure``; what reading and `body` throw.
  package mutating func object(_ body: (inout JSONReader, String) throws -> Void) throws {
    try expect("{", "an object")
    if try take("}") { return }
    repeat { try body(&self, try key()) } while try take(",")
    try expect("}", "a comma or }")
  }

  /// Reads an array. `body` is called for each item and must read it.
  ///
  /// - Throws: ``Failure``; what reading and `body` throw.
  package mutating func array(_ body: (inout JSONReader) throws -> Void) throws {
    try expect("[", "an array")
    if try take("]") { return }
    repeat { try body(&self) } while try take(",")
    try expect("]", "a comma or ]")
  }

  /// Reads `null`; returns false if the next value is different.
  ///
  /// - Throws: ``Failure``; what reading throws.
  package mutating func null() throws -> Bool {
    try skipSpace()
    guard try peek() == UInt8(ascii: "n") else { return false }
    try literal("null")
    return true
  }

  /// Reads a nonnegative integer.
  ///
  /// - Throws: ``Failure``; what reading throws.
  package mutating func unsignedInt() throws -> Int {
    try skipSpace()
    let start = offset
    var value = 0
    var digits = 0
    while let byte = try peek(), (0x30...0x39).contains(byte) {
      let (tens, overflow) = value.multipliedReportingOverflow(by: 10)
      let (sum, overflow2) = tens.addingReportingOverflow(Int(byte - 0x30))
      guard !overflow, !overflow2 else {
        throw Failure(problem: "an integer is too large", offset: start)
      }
      guard digits == 0 || value > 0 else {
        throw Failure(problem: "an integer begins with 0", offset: start)
      }
      value = sum
      digits += 1
      position += 1
    }
    let next = try peek()
    guard digits > 0, next != UInt8(ascii: "."), next != UInt8(ascii: "e"),
      next != UInt8(ascii: "E")
    else { throw Failure(problem: "an integer that is not negative is missing", offset: start) }
    return value
  }

  /// Reads a string of at most `limit` bytes; returns nil if the next value is not a string.
  ///
  /// - Throws: ``Failure``; what reading throws.
  package mutating func stringIfAny(limit: Int) throws -> String? {
    try skipSpace()
    return try peek() == UInt8(ascii: "\"") ? string(limit: limit) : nil
  }

  /// Checks that only whitespace is left.
  ///
  /// - Throws: ``Failure``; what reading throws.
  package mutating func finish() throws {
    try skipSpace()
    guard try peek() == nil else { throw failure("something stands behind the end") }
  }

  // MARK: - Tokens

  /// Reads a key and the colon after it.
  private mutating func key() throws -> String {
    let key = try string(limit: Self.keyLimit)
    try expect(":", "a colon")
    return key
  }

  /// Reads a string of at most `limit` bytes.
  ///
  /// - Throws: ``Failure``; what reading throws.
  package mutating func string(limit: Int) throws -> String {
    try expect("\"", "a string")
    let start = offset - 1
    var bytes: [UInt8] = []
    while true {
      guard let byte = try peek() else { throw failure("a string has no end") }
      guard bytes.count <= limit else {
        throw Failure(problem: "a string is longer than \(limit) bytes", offset: start)
      }
      if try takeNext("\"") { break }
      if try takeNext("\\") {
        bytes += try escape()
        continue
      }
      guard byte >= 0x20 else {
        position += 1
        throw failure("a control character must be escaped")
      }
      // The bytes up to the next quotation mark, backslash, or control character.
      let run = block[position...].prefix(limit + 1).firstIndex {
        $0 == UInt8(ascii: "\"") || $0 == UInt8(ascii: "\\") || $0 < 0x20
      }
      let stop = run ?? min(block.count, position + limit + 1)
      bytes += block[position..<stop]
      position = stop
    }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw Failure(problem: "a string is no UTF-8", offset: start)
    }
    return text
  }

  /// Reads the rest of an escape after the backslash; returns the character in UTF-8.
  private mutating func escape() throws -> [UInt8] {
    guard let byte = try peek() else { throw failure("a string has no end") }
    position += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
    case UInt8(ascii: "b"): return [8]
    case UInt8(ascii: "f"): return [12]
    case UInt8(ascii: "n"): return [10]
    case UInt8(ascii: "r"): return [13]
    case UInt8(ascii: "t"): return [9]
    case UInt8(ascii: "u"):
      var value = try hex()
      if value >> 10 == 0x36 {
        guard try takeNext("\\"), try takeNext("u") else {
          throw failure("half of a surrogate pair")
        }
        let low = try hex()
        guard low >> 10 == 0x37 else { throw failure("half of a surrogate pair") }
        value = 0x10000 + (value & 0x3FF) << 10 + (low & 0x3FF)
      }
      guard let scalar = Unicode.Scalar(value) else { throw failure("half of a surrogate pair") }
      return Array(String(scalar).utf8)
    default: throw failure("an escape that JSON does not have")
    }
  }

  private mutating func hex() throws -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<4 {
      guard let byte = try peek(), byte < 128,
        let digit = Character(Unicode.Scalar(byte)).hexDigitValue
      else { throw failure("four hexadecimal digits are missing") }
      position += 1
      value = value << 4 | UInt32(digit)
    }
    return value
  }

  private mutating func literal(_ text: StaticString) throws {
    for index in 0..<text.utf8CodeUnitCount {
      guard try peek() == text.utf8Start[index] else { throw failure("no value begins here") }
      position += 1
    }
  }

  /// Reads a number and returns its text.
  ///
  /// - Parameter limit: the maximum number of bytes that are returned.
  private mutating func number(limit: Int) throws -> String {
    let start = offset
    var text: [UInt8] = []
    func keep(_ byte: UInt8) { if text.count < limit { text.append(byte) } }
    func digits() throws -> Int {
      var count = 0
      while let byte = try peek(), (0x30...0x39).contains(byte) {
        keep(byte)
        position += 1
        count += 1
      }
      return count
    }
    func takeAny(of signs: Unicode.Scalar...) throws -> Bool {
      for sign in signs where try takeNext(sign) {
        keep(UInt8(ascii: sign))
        return true
      }
      return false
    }
    _ = try takeAny(of: "-")
    let startsWithZero = try peek() == UInt8(ascii: "0")
    let whole = try digits()
    guard whole == 1 || (whole > 1 && !startsWithZero) else {
      throw Failure(problem: "no value begins here", offset: start)
    }
    if try takeAny(of: "."), try digits() == 0 { throw failure("a digit is missing") }
    if try takeAny(of: "e", "E") {
      _ = try takeAny(of: "+", "-")
      if try digits() == 0 { throw failure("a digit is missing") }
    }
    return String(decoding: text, as: UTF8.self)
  }

  // MARK: - Values of any kind

  /// A part of a value.
  enum Token {
    case object
    case array
    /// The end of an object or array.
    case end
    case key(String)
    case string(String)
    /// A number, as its text.
    case number(String)
    case bool(Bool)
    case null
  }

  /// Reads and discards a value of any structure.
  ///
  /// - Throws: ``Failure``; what reading throws.
  package mutating func skipValue() throws {
    try value(textLimit: 1 << 20, numberLimit: 0, allowsNonFinite: false) { _, _ in }
  }

  /// Reads a value of any structure, and reports each token with the offset after it.
  ///
  /// - Parameters:
  ///   - textLimit: the maximum number of bytes of a string or key.
  ///   - numberLimit: the maximum number of bytes of a number that are reported.
  ///   - allowsNonFinite: whether `NaN`, `Infinity`, and `-Infinity` are accepted as numbers, as in
  ///     Python's `json`.
  mutating func value(
    textLimit: Int, numberLimit: Int, allowsNonFinite: Bool,
    _ body: (Token, _ offset: Int) throws -> Void
  ) throws {
    // For each open container, whether it is an object.
    var open: [Bool] = []
    func readKey() throws {
      let name = try string(limit: textLimit)
      try body(.key(name), offset)
      try expect(":", "a colon")
    }
    while true {
      guard open.count <= depthLimit else { throw failure("values nest too deep") }
      try skipSpace()
      switch try peek() {
      case UInt8(ascii: "{"):
        position += 1
        try body(.object, offset)
        if try !take("}") {
          open.append(true)
          try readKey()
          continue
        }
        try body(.end, offset)
      case UInt8(ascii: "["):
        position += 1
        try body(.array, offset)
        if try !take("]") {
          open.append(false)
          continue
        }
        try body(.end, offset)
      case UInt8(ascii: "\""): try body(.string(try string(limit: textLimit)), offset)
      case UInt8(ascii: "t"):
        try literal("true")
        try body(.bool(true), offset)
      case UInt8(ascii: "f"):
        try literal("false")
        try body(.bool(false), offset)
      case UInt8(ascii: "n"):
        try literal("null")
        try body(.null, offset)
      case UInt8(ascii: "N") where allowsNonFinite:
        try literal("NaN")
        try body(.number("NaN"), offset)
      case UInt8(ascii: "I") where allowsNonFinite:
        try literal("Infinity")
        try body(.number("Infinity"), offset)
      case UInt8(ascii: "-") where allowsNonFinite && nextIsInfinity():
        try literal("-Infinity")
        try body(.number("-Infinity"), offset)
      default: try body(.number(try number(limit: numberLimit)), offset)
      }
      var needsValue = false
      while let isObject = open.last, !needsValue {
        if try take(",") {
          if isObject { try readKey() }
          needsValue = true
        } else {
          try expect(isObject ? "}" : "]", isObject ? "a comma or }" : "a comma or ]")
          open.removeLast()
          try body(.end, offset)
        }
      }
      if !needsValue { return }
    }
  }

  /// Whether the next bytes are a minus sign and an `I`.
  private mutating func nextIsInfinity() -> Bool {
    let next = blockStart + position + 1
    guard next < source.byteCount else { return false }
    return (try? source.bytes(in: next..<next + 1)) == [UInt8(ascii: "I")]
  }
}
