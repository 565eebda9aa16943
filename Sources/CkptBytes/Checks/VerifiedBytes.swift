internal import CkptPlatform
internal import Synchronization

/// A byte range of a file whose checksum is compared before the first byte is returned.
///
/// This detects damage even if several readers use parts of a record in any order. It costs one
/// additional pass over the bytes.
package final class VerifiedBytes: ComputedBytes {
  private let region: FileRegion
  private let isVerified = Mutex(false)

  /// Creates a source for the bytes of `region`. Nothing is compared if no checksum is recorded.
  package init(_ region: FileRegion) { self.region = region }

  /// A source of the same bytes that compares their checksum first, if one is recorded.
  package static func wrapping(_ source: ByteSource) -> ByteSource {
    guard case .region(let region) = source, region.recordedCRC32 != nil else { return source }
    return .computed(VerifiedBytes(region))
  }

  /// The number of bytes of the region.
  package var byteCount: Int { region.byteCount }
  /// Always true.
  package var isRandomAccess: Bool { true }
  /// True until the checksum has been compared.
  package var needsPreparation: Bool {
    region.recordedCRC32 != nil && !isVerified.withLock { $0 }
  }

  /// Compares the checksum, once.
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

  /// Creates a reader that starts at `offset`.
  ///
  /// - Throws: as ``prepare()``.
  package func makeReader(at offset: Int) throws -> any ByteReader {
    try prepare()
    return try ByteSource.region(region).makeReader(at: offset)
  }
}
