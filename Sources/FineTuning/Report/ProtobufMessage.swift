internal import CkptBytes

/// A message of protocol buffers, written a field at a time.
struct ProtobufMessage {
  /// The message.
  private(set) var bytes: [UInt8] = []

  /// An integer of variable length.
  mutating func append(_ value: Int64, field: Int) {
    append(varint: tag(field, wireType: 0))
    append(varint: UInt64(bitPattern: value))
  }

  /// A `double`.
  mutating func append(_ value: Double, field: Int) {
    append(varint: tag(field, wireType: 1))
    bytes.append(littleEndian: value.bitPattern)
  }

  /// A `float`.
  mutating func append(_ value: Float, field: Int) {
    append(varint: tag(field, wireType: 5))
    bytes.append(littleEndian: value.bitPattern)
  }

  /// A `string`.
  mutating func append(_ text: String, field: Int) { append(Array(text.utf8), field: field) }

  /// A message inside this one.
  mutating func append(_ message: ProtobufMessage, field: Int) {
    append(message.bytes, field: field)
  }

  private mutating func append(_ content: [UInt8], field: Int) {
    append(varint: tag(field, wireType: 2))
    append(varint: UInt64(content.count))
    bytes += content
  }

  private func tag(_ field: Int, wireType: UInt64) -> UInt64 {
    UInt64(truncatingIfNeeded: field) << 3 | wireType
  }

  private mutating func append(varint value: UInt64) {
    var rest = value
    while rest > 0x7F {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(truncatingIfNeeded: rest))
  }
}
