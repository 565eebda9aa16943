extension Sequence<UInt8> {
  /// The bytes as pairs of lowercase hexadecimal digits.
  package var hexadecimal: String {
    let digits = Array("0123456789abcdef".utf8)
    var text: [UInt8] = []
    for byte in self { text += [digits[Int(byte >> 4)], digits[Int(byte & 15)]] }
    return String(decoding: text, as: UTF8.self)
  }
}

extension String {
  /// Whether the text consists of `count` lowercase hexadecimal digits.
  package func isHexadecimal(_ count: Int) -> Bool {
    utf8.count == count
      && utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
  }

  /// The bytes that pairs of hexadecimal digits stand for; nil if the text is something else.
  package var hexadecimalBytes: [UInt8]? {
    guard isHexadecimal(utf8.count), utf8.count % 2 == 0 else { return nil }
    var bytes: [UInt8] = []
    var high: UInt8?
    for digit in utf8 {
      let value = digit < 0x40 ? digit - 0x30 : digit - 0x57
      if let first = high {
        bytes.append(first << 4 | value)
        high = nil
      } else {
        high = value
      }
    }
    return bytes
  }
}
