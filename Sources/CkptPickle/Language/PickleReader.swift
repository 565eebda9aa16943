internal import CkptBytes

/// Reads the parts of opcodes from a pickle; every read is checked against the pickle's end.
struct PickleReader {
  let bytes: [UInt8]
  private(set) var position = 0
  private var frame = PickleFrame()

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  var left: Int { bytes.count - position }

  mutating func byte() throws -> UInt8 {
    guard position < bytes.count else { throw PickleError.endsEarly(offset: position) }
    try stayInFrame(1)
    defer { position += 1 }
    return bytes[position]
  }

  /// Reads a little-endian unsigned integer of `count` bytes, at most 8.
  mutating func number(_ count: Int) throws -> UInt64 {
    guard left >= count else { throw PickleError.endsEarly(offset: bytes.count) }
    try stayInFrame(count)
    defer { position += count }
    return UInt64(littleEndian: bytes[position..<position + count])
  }

  /// Reads a byte count of `lengthSize` bytes and then as many bytes; returns their range.
  mutating func run(lengthSize: Int) throws -> PickleGraph.Bytes {
    let offset = position
    let length = try number(lengthSize)
    guard length <= UInt64(left) else {
      throw PickleError.lengthTooLarge(length: length, left: left, offset: offset)
    }
    return try take(Int(length))
  }

  /// Like `run(lengthSize:)` with a signed length of 4 bytes, which must not be negative.
  mutating func signedRun() throws -> PickleGraph.Bytes {
    let offset = position
    let length = Int32(truncatingIfNeeded: try number(4))
    guard length >= 0 else {
      throw PickleError.malformed(what: "a length of \(length)", offset: offset)
    }
    guard Int(length) <= left else {
      throw PickleError.lengthTooLarge(length: UInt64(length), left: left, offset: offset)
    }
    return try take(Int(length))
  }

  /// Reads the length of a frame and starts it.
  mutating func beginFrame() throws {
    let offset = position
    let length = try number(8)
    guard length <= UInt64(left) else {
      throw PickleError.lengthTooLarge(length: length, left: left, offset: offset)
    }
    guard frame.begin(at: position, length: Int(length)) else {
      throw PickleError.malformed(what: "a frame begins in another", offset: offset)
    }
  }

  private mutating func stayInFrame(_ count: Int) throws {
    guard frame.allows(count, at: position) else { throw PickleError.crossesFrame(at: position) }
  }

  private mutating func take(_ count: Int) throws -> PickleGraph.Bytes {
    try stayInFrame(count)
    defer { position += count }
    return PickleGraph.Bytes(
      start: UInt32(truncatingIfNeeded: position), byteCount: UInt32(truncatingIfNeeded: count))
  }

  /// Reads the bytes up to the next newline, and skips the newline.
  mutating func line() throws -> PickleGraph.Bytes {
    guard let end = bytes[position...].firstIndex(of: 0x0A) else {
      throw PickleError.endsEarly(offset: bytes.count)
    }
    try stayInFrame(end + 1 - position)
    defer { position = end + 1 }
    return PickleGraph.Bytes(
      start: UInt32(truncatingIfNeeded: position),
      byteCount: UInt32(truncatingIfNeeded: end - position))
  }
}
