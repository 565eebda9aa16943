internal import CkptBytes
internal import CkptPlatform

/// Conversions of integers of any size between two's complement bytes and decimal digits.
enum BigInt {
  /// The maximum number of decimal digits, 4300, as in Python by default.
  static let digitLimit = 4300

  /// The same integer (two's complement, little-endian) without superfluous sign bytes; empty for
  /// 0.
  static func minimal(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    var bytes = bytes
    while let last = bytes.last, bytes.count > 1 {
      let sign = bytes[bytes.endIndex - 2] & 0x80
      guard (last == 0 && sign == 0) || (last == 0xFF && sign != 0) else { break }
      bytes.removeLast()
    }
    return bytes.count == 1 && bytes.first == 0 ? bytes.dropLast() : bytes
  }

  /// The integer with the given two's complement bytes, which must be minimal; nil if it exceeds 64
  /// bits.
  static func int64(_ bytes: ArraySlice<UInt8>) -> Int64? {
    guard bytes.count <= 8 else { return nil }
    return Int64(twosComplement: bytes)
  }

  /// The minimal two's complement bytes of an integer; empty for 0.
  static func bytes(_ value: Int64) -> [UInt8] {
    var rest = value
    var bytes: [UInt8] = []
    for _ in 0..<8 {
      bytes.append(UInt8(truncatingIfNeeded: rest))
      rest >>= 8
    }
    return Array(minimal(bytes[...]))
  }

  /// Parses decimal digits with an optional sign to minimal two's complement bytes; nil if `text`
  /// is not an integer or has too many digits.
  static func parse(decimal text: String) -> [UInt8]? {
    var digits = Array(text.utf8)[...]
    let isNegative = digits.first == 0x2D
    if isNegative || digits.first == 0x2B { digits = digits.dropFirst() }
    guard !digits.isEmpty, digits.count <= digitLimit else { return nil }
    var magnitude: [UInt8] = []
    for digit in digits {
      guard (0x30...0x39).contains(digit) else { return nil }
      var carry = Int(digit - 0x30)
      for index in magnitude.indices {
        carry += Int(magnitude[index]) * 10
        magnitude[index] = UInt8(carry & 0xFF)
        carry >>= 8
      }
      if carry > 0 { magnitude.append(UInt8(carry)) }
    }
    magnitude.append(0)
    if isNegative { negate(&magnitude) }
    return Array(minimal(magnitude[...]))
  }

  /// The decimal digits of a two's complement integer; nil if there are more than the limit.
  static func decimal(_ bytes: ArraySlice<UInt8>) -> String? {
    guard bytes.count <= digitLimit * 10 / 24 else { return nil }
    let isNegative = bytes.last.map { $0 & 0x80 != 0 } == true
    var magnitude = Array(bytes)
    if isNegative {
      magnitude.append(0xFF)
      negate(&magnitude)
    }
    var digits: [UInt8] = []
    while let top = magnitude.lastIndex(where: { $0 != 0 }) {
      var remainder = 0
      for index in stride(from: top, through: 0, by: -1) {
        remainder = remainder << 8 | Int(magnitude[index])
        magnitude[index] = UInt8(remainder / 10)
        remainder %= 10
      }
      digits.append(0x30 + UInt8(remainder))
    }
    if digits.isEmpty { digits.append(0x30) }
    if isNegative { digits.append(0x2D) }
    return String(decoding: digits.reversed(), as: UTF8.self)
  }

  private static func negate(_ bytes: inout [UInt8]) {
    var carry = 1
    for index in bytes.indices {
      carry += Int(~bytes[index])
      bytes[index] = UInt8(carry & 0xFF)
      carry >>= 8
    }
  }
}

extension PickleGraph {
  /// The decimal digits of an int; nil if `ref` is not an int, or has more than 4300 digits.
  package func decimal(_ ref: Ref) -> String? {
    switch nodes[ref.slot] {
    case .int(let value): String(value)
    case .bigInt(let run): BigInt.decimal(pool[run.range])
    default: nil
    }
  }
  /// Adds an int of any size; nil if `text` is not an integer, or has more than 4300 digits.
  package mutating func addInt(decimal text: String) -> Ref? {
    guard let bytes = BigInt.parse(decimal: text) else { return nil }
    if let value = BigInt.int64(bytes[...]) { return add(.int(value)) }
    return add(.bigInt(intern(bytes)))
  }
}
