/// Sets checksums, lengths, and offsets to what the bytes need.
enum Repair {
  /// Records the CRC-32 of stored records, in the directory and in the headers.
  static func zip(_ bytes: inout [UInt8]) {
    var position = 0
    while position + 46 <= bytes.count {
      guard bytes[position] == 0x50, bytes[position + 1] == 0x4B, bytes[position + 2] == 1,
        bytes[position + 3] == 2
      else {
        position += 1
        continue
      }
      let header = number(bytes, position + 42, 4)
      let size = number(bytes, position + 20, 4)
      if header + 30 <= bytes.count, number(bytes, position + 10, 2) == 0 {
        let start = header + 30 + number(bytes, header + 26, 2) + number(bytes, header + 28, 2)
        if start + size <= bytes.count {
          let sum = crc32(bytes[start..<start + size])
          put(Int(sum), 4, at: position + 16, in: &bytes)
          if number(bytes, header + 6, 2) & 8 == 0 {
            put(Int(sum), 4, at: header + 14, in: &bytes)
            put(size, 4, at: header + 18, in: &bytes)
            put(number(bytes, position + 24, 4), 4, at: header + 22, in: &bytes)
          }
        }
      }
      position += 46
    }
  }

  /// Records the checksum of every header that may be one.
  static func tar(_ bytes: inout [UInt8]) {
    for start in stride(from: 0, through: bytes.count - 512, by: 512)
    where bytes[start + 257..<start + 262].elementsEqual("ustar".utf8) {
      for position in start + 148..<start + 156 { bytes[position] = 0x20 }
      let sum = bytes[start..<start + 512].reduce(0) { $0 + Int($1) }
      let digits = String(sum, radix: 8)
      let text = String(repeating: "0", count: max(0, 6 - digits.count)) + digits
      for (offset, byte) in text.utf8.enumerated() { bytes[start + 148 + offset] = byte }
      bytes[start + 154] = 0
    }
  }

  /// Records the length of the header, up to its last brace, and gives the data as many bytes as
  /// the largest number behind `data_offsets`.
  static func safetensors(_ bytes: inout [UInt8]) {
    guard bytes.count >= 10 else { return }
    let recorded = number(bytes, 0, 7)
    let end = min(bytes.count, recorded > 0 && recorded < 1 << 16 ? 8 + recorded + 16 : bytes.count)
    guard let brace = bytes[8..<end].lastIndex(of: UInt8(ascii: "}")) else { return }
    put(brace + 1 - 8, 8, at: 0, in: &bytes)
    var largest = 0
    let name = Array("offsets\":[".utf8)
    var position = 8
    while position + name.count < brace {
      if bytes[position] == name[0], bytes[position..<position + name.count].elementsEqual(name) {
        var value = 0
        var at = position + name.count
        while at < brace, bytes[at] != UInt8(ascii: "]") {
          let digit = Int(bytes[at]) - 0x30
          value = (0...9).contains(digit) && value < 1 << 16 ? value * 10 + digit : 0
          largest = max(largest, value)
          at += 1
        }
      }
      position += 1
    }
    guard largest < 1 << 14 else { return }
    let wanted = brace + 1 + largest
    if bytes.count > wanted { bytes.removeLast(bytes.count - wanted) }
    while bytes.count < wanted { bytes.append(UInt8(truncatingIfNeeded: bytes.count)) }
  }

  /// Records the length of the header, up to its line feed.
  static func npy(_ bytes: inout [UInt8]) {
    guard bytes.count > 12, let end = bytes[10...].firstIndex(of: 10) else { return }
    if bytes[6] == 1 {
      put(end + 1 - 10, 2, at: 8, in: &bytes)
    } else if end >= 12 {
      put(end + 1 - 12, 4, at: 8, in: &bytes)
    }
  }

  /// Records the CRC-32 of the chunks of a PNG image.
  static func png(_ bytes: inout [UInt8]) {
    guard bytes.starts(with: [0x89, 0x50, 0x4E, 0x47]) else { return }
    var position = 8
    while position + 12 <= bytes.count {
      let size = bytes[position..<position + 4].reduce(0) { $0 << 8 | Int($1) }
      guard size <= bytes.count - position - 12 else { return }
      let sum = crc32(bytes[position + 4..<position + 8 + size])
      for index in 0..<4 {
        bytes[position + 8 + size + index] = UInt8(
          truncatingIfNeeded: sum >> UInt32(24 - 8 * index))
      }
      position += 12 + size
    }
  }

  /// The CRC-32 of zip and PNG, written here so that the fuzzer's own work is not counted as
  /// coverage of the library.
  private static func crc32(_ bytes: ArraySlice<UInt8>) -> UInt32 {
    var sum: UInt32 = 0xFFFF_FFFF
    for byte in bytes { sum = table[Int(UInt8(truncatingIfNeeded: sum) ^ byte)] ^ sum >> 8 }
    return ~sum
  }

  private static let table: [UInt32] = (0..<256).map { byte in
    (0..<8).reduce(UInt32(byte)) { sum, _ in sum & 1 == 1 ? sum >> 1 ^ 0xEDB8_8320 : sum >> 1 }
  }

  /// A little-endian number of `count` bytes, at most 7.
  private static func number(_ bytes: [UInt8], _ start: Int, _ count: Int) -> Int {
    (0..<count).reduce(0) { $0 | Int(bytes[start + $1]) << (8 * $1) }
  }

  private static func put(_ value: Int, _ count: Int, at start: Int, in bytes: inout [UInt8]) {
    for index in 0..<count {
      bytes[start + index] = UInt8(truncatingIfNeeded: value >> (8 * index))
    }
  }
}
