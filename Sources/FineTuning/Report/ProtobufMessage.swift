internal import CkptBytes

/// A message in the format of Protocol Buffers, to which fields are appended.
struct ProtobufMessage {
  /// The encoded message.
  private(set) var bytes: [UInt8] = []

  /// Appends an `int64`, encoded as a varint.
  mutating func append(_ value: Int64, field: Int) {
    append(varint: tag(field, wireType: 0))
    append(varint: UInt64(bitPattern: value))
  }

  /// Appends a `double`.
  mutating func append(_ value: Double, field: Int) {
    append(varint: tag(field, wireType: 1))
    bytes.append(littleEndian: value.bitPattern)
  }

  /// Appends a `float`.
  mutating func append(_ value: Float, field: Int) {
    append(varint: tag(field, wireType: 5))
    bytes.append(littleEndian: value.bitPattern)
  }

  /// Appends a `string`.
  mutating func append(_ text: String, field: Int) { append(Array(text.utf8), field: field) }

  /// Appends a nested message.
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
