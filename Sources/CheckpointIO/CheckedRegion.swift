internal import Platform
internal import Streaming
internal import Synchronization

/// A record of which parts are wanted: it is read once as a whole and its checksum compared, before a part is.
///
/// Else a part of a damaged record would be carried on, since the checksum is of the whole.
final class CheckedRegion: ComputedBytes {
  private let region: FileRegion
  private let recorded: UInt32
  private let isChecked = Mutex(false)

  /// Nil if no checksum is recorded.
  init?(_ source: ByteSource) {
    guard case .region(let region) = source, let recorded = region.recordedCRC32 else { return nil }
    self.region = region
    self.recorded = recorded
  }

  var byteCount: Int { region.byteCount }
  var isRandomAccess: Bool { true }
  var needsPreparation: Bool { true }

  func prepare() throws {
    // Whoever comes second waits.
    try isChecked.withLock { isChecked in
      guard !isChecked else { return }
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 64)
      defer { buffer.deallocate() }
      var sum: UInt32 = 0
      for start in stride(from: 0, to: region.byteCount, by: buffer.count) {
        let count = min(buffer.count, region.byteCount - start)
        let block = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
        try region.file.read(into: block, at: region.offset + start)
        sum = Checksum.crc32(UnsafeRawBufferPointer(block), from: sum)
      }
      guard sum == recorded else {
        throw ChecksumError(
          file: region.file.path, record: region.name, recorded: recorded, found: sum)
      }
      isChecked = true
    }
  }

  func makeReader(at offset: Int) throws -> any ByteReader {
    try prepare()
    return try ByteSource.region(region).makeReader(at: offset)
  }
}
