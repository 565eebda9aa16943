internal import CCkptDeflate
internal import CCkptZlib
internal import CkptPlatform

/// CRC-32 as zip archives use it.
package enum Checksum {
  /// The checksum of `bytes` after those that gave `start`.
  package static func crc32(_ bytes: RawSpan, from start: UInt32 = 0) -> UInt32 {
    guard !bytes.isEmpty else { return start }
    return bytes.withUnsafeBytes { libdeflate_crc32(start, $0.baseAddress, $0.count) }
  }

  /// The checksum of `bytes`.
  package static func crc32(_ bytes: [UInt8]) -> UInt32 { bytes.withRawSpan { crc32($0) } }

  /// The checksum of two runs, one behind the other, from those of both.
  package static func combined(_ first: UInt32, _ second: UInt32, secondByteCount: Int) -> UInt32 {
    UInt32(truncatingIfNeeded: crc32_combine(uLong(first), uLong(second), secondByteCount))
  }
}
