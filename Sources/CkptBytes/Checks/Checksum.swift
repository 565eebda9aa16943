internal import CCkptDeflate
internal import CCkptZlib
internal import CkptPlatform

/// CRC-32, with the polynomial of zip archives.
package enum Checksum {
  /// The checksum of `bytes` appended to data with the checksum `start`.
  package static func crc32(_ bytes: RawSpan, from start: UInt32 = 0) -> UInt32 {
    guard !bytes.isEmpty else { return start }
    return bytes.withUnsafeBytes { libdeflate_crc32(start, $0.baseAddress, $0.count) }
  }

  /// The checksum of `bytes`.
  package static func crc32(_ bytes: [UInt8]) -> UInt32 { bytes.withRawSpan { crc32($0) } }

  /// The checksum of two consecutive byte sequences, computed from their checksums.
  package static func combined(_ first: UInt32, _ second: UInt32, secondByteCount: Int) -> UInt32 {
    UInt32(truncatingIfNeeded: crc32_combine(uLong(first), uLong(second), secondByteCount))
  }
}
