internal import CkptPlatform

/// Reads JSON from front to back, a token at a time, in blocks.
///
/// Made for headers and indices, whose shape the caller knows: no tree is built, so that 100 MB of brackets
/// cost nothing, and every key is seen, so that one that occurs twice can be refused. Nothing recurses.
struct JSONReader {
  /// What is no JSON, or not the JSON that was expected, and where.
  struct Failure: Error {
    let problem: String
    /// The byte, from the file's start.
    let offset: Int
  }

  private static let blockSize = 64 << 10
  /// How deep values that nobody asked for may nest: as in the reference, which uses serde_json.
  private static let depthLimit = 127

  private let file: File
  private let end: Int
  private var block: [UInt8] = []
  private var blockStart: Int
  private var position = 0

  /// Reads the bytes of `range` of the file, which must lie in it.
  init(_ file: File, _ range: Range<Int>) {
    self.file = file
    end = range.upperBound
    blockStart = range.lowerBound
  }

  /// Where the next token begins, or before it, in bytes from the file's start.
  var offset: Int { blockStart + position }

  func failure(_ problem: String) -> Failure { Failure(problem: problem, offset: offset) }

  // MARK: - Bytes

  /// The next byte, which stays; nil at the end.
  private mutating func peek() throws -> UInt8? {
    if position == block.count {
      blockStart += block.count
      position = 0
      block = try file.bytes(at: blockStart, count: min(Self.blockSize, end - blockStart))
    }
    return position < block.count ? block[position] : nil
  }

  private mutating func skipSpace() throws {
    while let byte = try peek(), byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 {
      position += 1
    }
  }

  /// Takes one byte, after white space; false if another one stands there.
  private mutating func take(_ wanted: UInt8) throws -> Bool {
    try skipSpace()
    guard try peek() == wanted else { return false }
    position += 1
    return true
  }

  private mutating func expect(_ wanted: UInt8, _ what: String) throws {
    guard try take(wanted) else { throw failure("\(what) is missing") }
  }

  // MARK: - Values

  /// Reads an object: `body` gets each key and must read its value.
  mutating func object(_ body: (inout JSONReader, String) throws -> Void) throws {
    try expect(UInt8(ascii: "{"), "an object")
    if try take(UInt8(ascii: "}")) { return }
    repeat {
      let key = try string(limit: 1 << 20)
      try expect(UInt8(ascii: ":"), "a colon")
      try body(&self, key)
    } while try take(UInt8(ascii: ","))
    try expect(UInt8(ascii: "}"), "a comma or the end of an object")
  }

  /// Reads an array: `body` must read each item.
  mutating func array(_ body: (inout JSONReader) throws -> Void) throws {
    try expect(UInt8(ascii: "["), "an array")
    if try take(UInt8(ascii: "]")) { return }
    repeat { try body(&self) } while try take(UInt8(ascii: ","))
    try expect(UInt8(ascii: "]"), "a comma or the end of an array")
  }

  /// Reads `null`, if that is what stands here.
  mutating func null() throws -> Bool {
    try skipSpace()
    guard try peek() == UInt8(ascii: "n") else { return false }
    try literal("null")
    return true
  }

  /// Reads an integer that is not negative.
  mutating func unsignedInt() throws -> Int {
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

  /// Reads a string of at most `limit` bytes.
  mutating func string(limit: Int) throws -> String {
    try expect(UInt8(ascii: "\""), "a string")
    let start = offset - 1
    var bytes: [UInt8] = []
    while true {
      guard let byte = try peek() else {
        throw Failure(problem: "a string has no end", offset: start)
      }
      guard bytes.count <= limit else {
        throw Failure(problem: "a string is longer than \(limit) bytes", offset: start)
      }
      if byte == UInt8(ascii: "\"") {
        position += 1
        break
      }
      if byte == UInt8(ascii: "\\") {
        position += 1
        bytes += try escape()
        continue
      }
      guard byte >= 0x20 else { throw failure("a control character stands in a string") }
      // As much as can be taken at once.
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

  /// Reads a string, if that is what stands here.
  mutating func stringIfAny(limit: Int) throws -> String? {
    try skipSpace()
    return try peek() == UInt8(ascii: "\"") ? string(limit: limit) : nil
  }

  /// What stands behind a backslash, as UTF-8.
  private mutating func escape() throws -> [UInt8] {
    guard let byte = try peek() else { throw failure("an escape ends early") }
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
        guard try peek() == UInt8(ascii: "\\") else { throw failure("half a surrogate pair") }
        position += 1
        guard try peek() == UInt8(ascii: "u") else { throw failure("half a surrogate pair") }
        position += 1
        let low = try hex()
        guard low >> 10 == 0x37 else { throw failure("half a surrogate pair") }
        value = 0x10000 + (value & 0x3FF) << 10 + (low & 0x3FF)
      }
      guard let scalar = Unicode.Scalar(value) else { throw failure("half a surrogate pair") }
      return Array(String(scalar).utf8)
    default: throw failure("an escape is unknown")
    }
  }

  private mutating func hex() throws -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<4 {
      guard let byte = try peek(), let digit = Character(Unicode.Scalar(byte)).hexDigitValue,
        byte < 128
      else { throw failure("an escape ends early") }
      position += 1
      value = value << 4 | UInt32(digit)
    }
    return value
  }

  private mutating func literal(_ text: StaticString) throws {
    for index in 0..<text.utf8CodeUnitCount {
      guard try peek() == text.utf8Start[index] else { throw failure("a value is unknown") }
      position += 1
    }
  }

  // MARK: - What nobody asked for

  /// Reads a value of any kind, and forgets it.
  mutating func skipValue() throws {
    // Whether each of the containers that are open is an object.
    var open: [Bool] = []
    while true {
      guard open.count <= Self.depthLimit else { throw failure("values nest too deeply") }
      try skipSpace()
      switch try peek() {
      case UInt8(ascii: "{"):
        position += 1
        if try take(UInt8(ascii: "}")) { break }
        open.append(true)
        try skipKey()
        continue
      case UInt8(ascii: "["):
        position += 1
        if try take(UInt8(ascii: "]")) { break }
        open.append(false)
        continue
      case UInt8(ascii: "\""): _ = try string(limit: 1 << 20)
      case UInt8(ascii: "t"): try literal("true")
      case UInt8(ascii: "f"): try literal("false")
      case UInt8(ascii: "n"): try literal("null")
      default: try skipNumber()
      }
      var needsValue = false
      while let isObject = open.last, !needsValue {
        if try take(UInt8(ascii: ",")) {
          if isObject { try skipKey() }
          needsValue = true
        } else {
          try expect(
            isObject ? UInt8(ascii: "}") : UInt8(ascii: "]"), "a comma or the end of a value")
          open.removeLast()
        }
      }
      if !needsValue { return }
    }
  }

  private mutating func skipKey() throws {
    _ = try string(limit: 1 << 20)
    try expect(UInt8(ascii: ":"), "a colon")
  }

  private mutating func skipNumber() throws {
    if try peek() == UInt8(ascii: "-") { position += 1 }
    if try peek() == UInt8(ascii: "0") {
      position += 1
    } else {
      guard try skipDigits() > 0 else { throw failure("a value is missing") }
    }
    if try peek() == UInt8(ascii: ".") {
      position += 1
      guard try skipDigits() > 0 else { throw failure("a number ends early") }
    }
    if let byte = try peek(), byte == UInt8(ascii: "e") || byte == UInt8(ascii: "E") {
      position += 1
      if let sign = try peek(), sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") {
        position += 1
      }
      guard try skipDigits() > 0 else { throw failure("a number ends early") }
    }
  }

  private mutating func skipDigits() throws -> Int {
    var count = 0
    while let byte = try peek(), (0x30...0x39).contains(byte) {
      position += 1
      count += 1
    }
    return count
  }

  /// Only white space may be left.
  mutating func finish() throws {
    try skipSpace()
    guard try peek() == nil else { throw failure("something stands behind the end") }
  }
}
