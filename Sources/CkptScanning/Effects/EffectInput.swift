internal import CkptBytes
internal import CkptPickle
internal import CkptPlatform

/// Why a pickle cannot be followed any further.
struct EffectStop: Error {
  /// What is wrong.
  let what: String
  /// The offset in the source.
  let offset: Int
  /// `dangerous` if a reader of pickles might continue.
  var rating = GlobalRating.unknown
}

/// Reads the opcodes of a pickle and their arguments in blocks.
struct EffectInput {
  /// The offset at which the pickle must end.
  let end: Int
  /// The offset in the source of the next byte.
  private(set) var position: Int
  /// What readers would do differently, and where: at most one problem of each kind.
  private(set) var disputes: [PickleProblem] = []

  private let source: ByteSource
  private var reader: (any ByteReader)?
  private var block: [UInt8] = []
  /// The offset in the source of the first byte of `block`.
  private var blockStart: Int
  private var blockSize = 512
  private var largestBlock = 64 << 10
  private var frame = PickleFrame()

  init(_ source: ByteSource, from offset: Int, end: Int) {
    self.source = source
    self.end = min(end, source.byteCount)
    position = min(max(0, offset), self.end)
    blockStart = position
  }

  /// Records that readers would disagree about the opcode at `offset`.
  mutating func dispute(_ what: String, at offset: Int) {
    guard disputes.count < 100, !disputes.contains(where: { $0.what == what }) else { return }
    disputes.append(PickleProblem(what: what, offset: offset, rating: .dangerous))
  }

  // MARK: - Blocks

  /// The number of bytes of the block that have not been read.
  private var available: Int { blockStart + block.count - position }

  /// Reads the next block if all of the current one has been read.
  private mutating func fill() throws {
    guard available <= 0 else { return }
    guard position < end else { throw EffectStop(what: "the pickle ends early", offset: end) }
    while true {
      // Blocks grow, since most pickles are small, and files may have many of them.
      let size = min(blockSize, largestBlock, end - position)
      do {
        let reader = try reader ?? source.makeReader(skippingTo: position)
        self.reader = reader
        block = try [UInt8](byteCount: size) { try reader.read(into: &$0) }
        blockStart = position
        blockSize = min(blockSize * 2, largestBlock)
        return
      } catch let error as any Diagnostic where error.kind == .badInput {
        // What stands before the damage counts.
        reader = nil
        guard size > 1 else {
          throw EffectStop(what: error.description, offset: position, rating: .dangerous)
        }
        largestBlock = max(1, size / 16)
      }
    }
  }

  /// The bytes of the block that have not been read, or of the next one; nil at the end, or where
  /// the source is damaged.
  mutating func remainder() throws -> ArraySlice<UInt8>? {
    guard position < end else { return nil }
    do { try fill() } catch is EffectStop { return nil }
    defer { position += available }
    return block[(position - blockStart)...]
  }

  private mutating func require(_ count: Int, at offset: Int) throws {
    guard count <= end - position else {
      throw EffectStop(what: "the pickle ends early", offset: end)
    }
    stayInFrame(count, at: position)
  }

  private mutating func stayInFrame(_ count: Int, at start: Int) {
    guard !frame.allows(count, at: start) else { return }
    dispute("an opcode or its argument crosses the end of its frame", at: start)
    frame.leave()
  }

  // MARK: - Arguments

  /// Reads an opcode.
  mutating func opcode() throws -> Opcode {
    let offset = position
    try require(1, at: offset)
    let byte = try next()
    guard let opcode = Opcode(rawValue: byte) else {
      throw EffectStop(what: "unknown opcode 0x\(String(byte, radix: 16))", offset: offset)
    }
    return opcode
  }

  private mutating func next() throws -> UInt8 {
    try fill()
    defer { position += 1 }
    return block[position - blockStart]
  }

  /// Reads a little-endian unsigned integer of `size` bytes.
  mutating func number(_ size: Int) throws -> UInt64 {
    try require(size, at: position)
    var value: UInt64 = 0
    for index in 0..<size { value |= UInt64(try next()) << UInt64(8 * index) }
    return value
  }

  /// Reads the byte count of an argument, which must not exceed what is left.
  mutating func count(_ size: Int, isSigned: Bool = false) throws -> Int {
    let offset = position
    let value = try number(size)
    if isSigned, value > UInt64(Int32.max) {
      throw EffectStop(what: "a length below 0", offset: offset)
    }
    guard value <= UInt64(end - position) else {
      throw EffectStop(
        what: "a length of \(value) bytes, of which \(end - position) are left",
        offset: offset)
    }
    return Int(value)
  }

  /// Reads the length of a frame and starts it.
  mutating func beginFrame() throws {
    let offset = position
    let value = try number(8)
    guard let length = Int(exactly: value) else {
      throw EffectStop(what: "a frame of \(value) bytes", offset: offset)
    }
    if length > end - position { dispute("a frame is longer than the pickle", at: offset) }
    if !frame.begin(at: position, length: length) {
      dispute("a frame begins in another", at: offset)
    }
  }

  /// Checks that the pickle ends with its frame: a reader of the file skips the rest of it.
  mutating func endPickle() {
    if frame.isInside(position) { dispute("it ends before its frame does", at: position - 1) }
  }

  /// Skips `count` bytes, which must be left.
  mutating func skip(_ count: Int) throws {
    try require(count, at: position)
    if count > available {
      // A file is not read where its bytes do not matter; the next block starts behind them.
      if source.isRandomAccess {
        reader = nil
      } else {
        var left = count - available
        position += available
        while left > 0 {
          try fill()
          let size = min(left, available)
          position += size
          left -= size
        }
        return
      }
    }
    position += count
  }

  /// Reads `count` bytes of UTF-8; gives them if they are at most `limit`.
  ///
  /// - Throws: also if they are not UTF-8.
  mutating func text(_ count: Int, keeping limit: Int) throws -> [UInt8]? {
    let start = position
    try require(count, at: start)
    var kept: [UInt8] = []
    var piece: [UInt8] = []
    var left = count
    while left > 0 {
      try fill()
      let size = min(left, available)
      let first = position - blockStart
      piece += block[first..<first + size]
      position += size
      left -= size
      let whole = left == 0 ? piece.count : PickleText.wholeCharacters(piece[...])
      guard PickleText.isPythonUTF8(piece[..<whole]) else {
        throw EffectStop(what: "a str that is no UTF-8", offset: start)
      }
      if count <= limit { kept += piece[..<whole] }
      piece.removeFirst(whole)
    }
    return count <= limit ? kept : nil
  }

  /// Whether any part of the source can be read at little cost.
  var isRandomAccess: Bool { source.isRandomAccess }

  /// Reads a str again whose UTF-8 starts at `start`, behind a length of one, four or eight bytes;
  /// nil if that is not what stands there, or more than `limit` bytes.
  func text(at start: Int, limit: Int) throws -> String? {
    let head = try source.bytes(in: max(0, start - 9)..<start)
    for (opcode, size) in [(0x8C, 1), (0x58, 4), (0x8D, 8)] as [(UInt8, Int)] {
      guard head.count > size, head[head.count - 1 - size] == opcode else { continue }
      let count = UInt64(littleEndian: head.suffix(size))
      guard count <= UInt64(min(limit, end - start)) else { continue }
      return String(decoding: try source.bytes(in: start..<start + Int(count)), as: UTF8.self)
    }
    return nil
  }

  /// Reads `count` bytes.
  mutating func bytes(_ count: Int) throws -> [UInt8] {
    try require(count, at: position)
    var bytes: [UInt8] = []
    while bytes.count < count {
      try fill()
      let size = min(count - bytes.count, available)
      let first = position - blockStart
      bytes += block[first..<first + size]
      position += size
    }
    return bytes
  }

  /// A line of a name.
  enum NameLine {
    /// All of it, without its newline.
    case whole([UInt8])
    /// It has more bytes than any name.
    case long
    /// It has no newline, as the pickle ends before.
    case cut([UInt8])
  }

  /// Reads a line that is a name of at most `limit` bytes.
  mutating func name(keeping limit: Int) throws -> NameLine {
    let start = position
    var isCut = false
    let line = try self.line(keeping: limit, isCut: &isCut)
    if isCut {
      guard !frame.isInside(start) else {
        throw EffectStop(what: "the pickle ends early", offset: end)
      }
      return line.map { .cut($0) } ?? .long
    }
    return line.map { .whole($0) } ?? .long
  }

  /// Reads a line without its newline; nil if it has more than `limit` bytes.
  mutating func line(keeping limit: Int) throws -> [UInt8]? {
    var isCut = false
    let line = try line(keeping: limit, isCut: &isCut)
    guard !isCut else { throw EffectStop(what: "the pickle ends early", offset: end) }
    return line
  }

  private mutating func line(keeping limit: Int, isCut: inout Bool) throws -> [UInt8]? {
    let start = position
    var line: [UInt8] = []
    var isWhole = false
    while !isWhole {
      guard position < end else {
        isCut = true
        break
      }
      try fill()
      let rest = block[(position - blockStart)...]
      let end = rest.firstIndex(of: 0x0A)
      let part = rest[..<(end ?? rest.endIndex)]
      if line.count <= limit { line += part.prefix(limit + 1) }
      position += part.count
      if end != nil {
        position += 1
        isWhole = true
      }
    }
    stayInFrame(position - start, at: start)
    return line.count <= limit ? line : nil
  }
}

extension PickleText {
  /// The number of bytes at the start of `bytes` that do not end in the middle of a character.
  fileprivate static func wholeCharacters(_ bytes: ArraySlice<UInt8>) -> Int {
    var tail = 0
    for byte in bytes.suffix(3).reversed() {
      tail += 1
      if byte >= 0xC0 { return bytes.count - tail }
      if byte < 0x80 { break }
    }
    return bytes.count
  }
}
