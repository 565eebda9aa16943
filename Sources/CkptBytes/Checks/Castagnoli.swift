extension Checksum {
  /// For each byte, its remainder modulo the polynomial of CRC-32C (RFC 3720), with reversed bits.
  private static let castagnoliTable: [UInt32] = (0..<256).map { byte in
    (0..<8).reduce(UInt32(byte)) { rest, _ in rest & 1 == 1 ? rest >> 1 ^ 0x82F6_3B78 : rest >> 1 }
  }

  /// The CRC-32C of `bytes`, used in TensorFlow's records; computed byte by byte, for short data.
  package static func crc32c(_ bytes: some Sequence<UInt8>) -> UInt32 {
    ~bytes.reduce(UInt32.max) { rest, byte in
      castagnoliTable[Int(UInt8(truncatingIfNeeded: rest) ^ byte)] ^ rest >> 8
    }
  }
}
