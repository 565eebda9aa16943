internal import CkptPlatform
internal import Synchronization

/// A region of a file whose checksum is compared before its first byte is given out.
///
/// So parts of a record can be used by themselves, by several readers in any order, and damage is still
/// found; the record is read once more for it.
package final class VerifiedBytes: ComputedBytes {
  private let region: FileRegion
  private let isVerified = Mutex(false)

  /// The bytes of `region`; those of a region without a recorded checksum are given out as they are.
  package init(_ region: FileRegion) { self.region = region }

  /// The same bytes, compared first if a checksum was recorded for them and can be.
  package static func wrapping(_ source: ByteSource) -> ByteSource {
    guard case .region(let region) = source, region.recordedCRC32 != nil else { return source }
    return .computed(VerifiedBytes(region))
  }

  /// As many as the region has.
  package var byteCount: Int { region.byteCount }
  /// Any place can be read.
  package var isRandomAccess: Bool { true }
  /// Until the checksum was compared.
  package var needsPreparation: Bool {
    region.recordedCRC32 != nil && !isVerified.withLock { $0 }
  }

  /// Compares the checksum, if nobody has yet.
  ///
  /// - Throws: ``ChecksumError``; `FileError`.
  package func prepare() throws {
    guard let recorded = region.recordedCRC32 else { return }
    try isVerified.withLock { isVerified in
      guard !isVerified else { return }
      let found = try checksum()
      guard found == recorded else {
        throw ChecksumError(
          file: region.file.path, record: region.name, recorded: recorded, found: found)
      }
      isVerified = true
    }
  }

  private func checksum() throws -> UInt32 {
    var sum: UInt32 = 0
    try ByteSource.region(region).forEachBlock { block, _ in sum = Checksum.crc32(block, from: sum)
    }
    return sum
  }

  /// Starts to read at `offset`.
  package func makeReader(at offset: Int) throws -> any ByteReader {
    try prepare()
    return try ByteSource.region(region).makeReader(at: offset)
  }
}
