package import CkptBytes
internal import CkptPickle

/// Bytes that a pickle passes to a function that loads them as a file of its own.
package struct EmbeddedFile: Sendable, Hashable {
  /// How the bytes stand in the pickle.
  package enum Encoding: UInt8, Sendable {
    /// As they are.
    case plain
    /// As the code points of text in UTF-8 (protocols 1 and 2).
    case utf8
    /// As the code points of text with escapes (protocol 0).
    case escaped
  }

  /// The range in the source.
  package let range: Range<Int>
  /// How the bytes stand in the range.
  package let encoding: Encoding

  /// The file's bytes; nil if they are encoded and more than `limit`, or not encoded bytes.
  ///
  /// - Parameter source: the source of the pickle.
  /// - Throws: what reading throws.
  package func contents(in source: ByteSource, limit: Int) throws -> ByteSource? {
    guard encoding != .plain else { return source.part(range) }
    guard range.count <= limit else { return nil }
    var text = try source.bytes(in: range)
    if encoding == .escaped {
      guard let decoded = PickleText.decodeRawUnicodeEscape(text[...]) else { return nil }
      text = decoded
    }
    guard let bytes = PickleText.latin1(utf8: text) else { return nil }
    return .bytes(bytes)
  }
}

extension PickleText {
  /// The bytes whose values are the code points of UTF-8 text; nil if one exceeds 255.
  fileprivate static func latin1(utf8 text: [UInt8]) -> [UInt8]? {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.count)
    var lead: UInt8 = 0
    for byte in text {
      if byte < 0x80 {
        bytes.append(byte)
      } else if byte & 0xC0 == 0x80, lead != 0 {
        bytes.append(lead << 6 | byte & 0x3F)
        lead = 0
      } else if byte == 0xC2 || byte == 0xC3 {
        lead = byte & 0x03
      } else {
        return nil
      }
    }
    return bytes
  }
}
