extension Checksum {
  /// For each byte, its remainder modulo the polynomial of CRC-32, with reversed bits.
  private static let table: [UInt32] = (0..<256).map { byte in
    (0..<8).reduce(UInt32(byte)) { rest, _ in rest & 1 == 1 ? rest >> 1 ^ 0xEDB8_8320 : rest >> 1 }
  }

  /// A byte that differs from the one for which a checksum was computed.
  package struct WrongByte: Sendable, Equatable {
    /// The byte's offset.
    package let offset: Int
    /// The byte that was there originally.
    package let original: UInt8

    /// Creates a description of a wrong byte.
    package init(offset: Int, original: UInt8) {
      self.offset = offset
      self.original = original
    }
  }

  /// The only byte whose change gives `bytes` the checksum `recorded`; nil if there is none, or
  /// more than one.
  ///
  /// Of `n` bytes with several wrong ones, one byte is found by chance in `n` of 17 million cases,
  /// so that this is evidence for short data only.
  package static func singleWrongByte(in bytes: [UInt8], recorded: UInt32) -> WrongByte? {
    // The checksum is linear: a wrong byte changes it by the byte's remainder, advanced by one step
    // for each byte that follows. Here the steps are taken back, from the last byte to the first.
    var indices = [UInt8](repeating: 0, count: 256)
    for (index, entry) in table.enumerated() {
      indices[Int(entry >> 24)] = UInt8(truncatingIfNeeded: index)
    }
    var difference = crc32(bytes) ^ recorded
    guard difference != 0 else { return nil }
    var found: WrongByte?
    for offset in bytes.indices.reversed() {
      let index = indices[Int(difference >> 24)]
      if table[Int(index)] == difference {
        guard found == nil else { return nil }
        found = WrongByte(offset: offset, original: bytes[offset] ^ index)
      }
      difference = (difference ^ table[Int(index)]) << 8 | UInt32(index)
    }
    return found
  }
}
