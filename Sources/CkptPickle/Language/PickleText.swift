/// Python's text encodings: its variant of UTF-8, and the escapes of protocol 0.
package enum PickleText {
  /// Whether `bytes` are valid UTF-8; lone surrogates are allowed (Python's error handler
  /// `surrogatepass`).
  package static func isPythonUTF8(_ bytes: ArraySlice<UInt8>) -> Bool {
    var index = bytes.startIndex
    let end = bytes.endIndex
    while index < end {
      let lead = bytes[index]
      if lead < 0x80 {
        index += 1
        continue
      }
      let length: Int
      let lowest: UInt32
      var scalar: UInt32
      switch lead {
      case 0xC2...0xDF: (length, lowest, scalar) = (2, 0x80, UInt32(lead & 0x1F))
      case 0xE0...0xEF: (length, lowest, scalar) = (3, 0x800, UInt32(lead & 0x0F))
      case 0xF0...0xF4: (length, lowest, scalar) = (4, 0x10000, UInt32(lead & 0x07))
      default: return false
      }
      guard end - index >= length else { return false }
      for offset in 1..<length {
        let next = bytes[index + offset]
        guard next & 0xC0 == 0x80 else { return false }
        scalar = scalar << 6 | UInt32(next & 0x3F)
      }
      guard scalar >= lowest, scalar <= 0x10FFFF else { return false }
      index += length
    }
    return true
  }

  /// Appends a code point as UTF-8, surrogates included.
  static func append(_ scalar: UInt32, to output: inout [UInt8]) {
    switch scalar {
    case 0..<0x80: output.append(UInt8(scalar))
    case 0x80..<0x800:
      output.append(UInt8(0xC0 | scalar >> 6))
      output.append(UInt8(0x80 | scalar & 0x3F))
    case 0x800..<0x10000:
      output.append(UInt8(0xE0 | scalar >> 12))
      output.append(UInt8(0x80 | scalar >> 6 & 0x3F))
      output.append(UInt8(0x80 | scalar & 0x3F))
    default:
      output.append(UInt8(0xF0 | scalar >> 18 & 0x07))
      output.append(UInt8(0x80 | scalar >> 12 & 0x3F))
      output.append(UInt8(0x80 | scalar >> 6 & 0x3F))
      output.append(UInt8(0x80 | scalar & 0x3F))
    }
  }

  /// Converts Latin-1 to UTF-8.
  static func utf8(latin1 bytes: ArraySlice<UInt8>) -> [UInt8] {
    var output: [UInt8] = []
    output.reserveCapacity(bytes.count + bytes.count / 2)
    for byte in bytes { append(UInt32(byte), to: &output) }
    return output
  }

  /// Decodes Python's `raw-unicode-escape` to UTF-8: Latin-1 with `\uXXXX` and `\UXXXXXXXX`; nil if
  /// an escape is invalid.
  package static func decodeRawUnicodeEscape(_ bytes: ArraySlice<UInt8>) -> [UInt8]? {
    var output: [UInt8] = []
    var index = bytes.startIndex
    while index < bytes.endIndex {
      // A backslash starts an escape only at an odd position in a sequence of backslashes.
      guard bytes[index] == 0x5C else {
        append(UInt32(bytes[index]), to: &output)
        index += 1
        continue
      }
      let next = index + 1
      guard next < bytes.endIndex else {
        output.append(0x5C)
        break
      }
      let digits = bytes[next] == 0x75 ? 4 : bytes[next] == 0x55 ? 8 : 0
      if digits > 0 {
        guard let scalar = hex(bytes, from: next + 1, count: digits), scalar <= 0x10FFFF else {
          return nil
        }
        append(scalar, to: &output)
        index = next + 1 + digits
      } else {
        output.append(0x5C)
        append(UInt32(bytes[next]), to: &output)
        index = next + 1
      }
    }
    return output
  }

  /// Decodes the `repr` of a Python 2 string; nil if the quotes or an escape are invalid.
  package static func decodeQuoted(_ line: ArraySlice<UInt8>) -> [UInt8]? {
    guard line.count >= 2, let quote = line.first, quote == 0x22 || quote == 0x27,
      line.last == quote
    else { return nil }
    let bytes = line.dropFirst().dropLast()
    var output: [UInt8] = []
    var index = bytes.startIndex
    while index < bytes.endIndex {
      guard bytes[index] == 0x5C else {
        output.append(bytes[index])
        index += 1
        continue
      }
      guard index + 1 < bytes.endIndex else { return nil }
      let letter = bytes[index + 1]
      index += 2
      switch letter {
      case 0x0A: break
      case 0x5C, 0x27, 0x22: output.append(letter)
      case 0x61: output.append(7)
      case 0x62: output.append(8)
      case 0x66: output.append(12)
      case 0x6E: output.append(10)
      case 0x72: output.append(13)
      case 0x74: output.append(9)
      case 0x76: output.append(11)
      case 0x78:
        guard let value = hex(bytes, from: index, count: 2) else { return nil }
        output.append(UInt8(truncatingIfNeeded: value))
        index += 2
      case 0x30...0x37:
        var value = Int(letter - 0x30)
        var digits = 1
        while digits < 3, index < bytes.endIndex, (0x30...0x37).contains(bytes[index]) {
          value = value * 8 + Int(bytes[index] - 0x30)
          index += 1
          digits += 1
        }
        output.append(UInt8(truncatingIfNeeded: value))
      default:
        output.append(0x5C)
        output.append(letter)
      }
    }
    return output
  }

  private static func hex(_ bytes: ArraySlice<UInt8>, from start: Int, count: Int) -> UInt32? {
    guard start <= bytes.endIndex, bytes.endIndex - start >= count else { return nil }
    var value: UInt32 = 0
    for byte in bytes[start..<start + count] {
      let digit: UInt8
      switch byte {
      case 0x30...0x39: digit = byte - 0x30
      case 0x41...0x46: digit = byte - 0x41 + 10
      case 0x61...0x66: digit = byte - 0x61 + 10
      default: return nil
      }
      value = value << 4 | UInt32(digit)
    }
    return value
  }
}
