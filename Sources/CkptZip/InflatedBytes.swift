internal import CkptBytes
internal import Synchronization

/// The bytes of a deflated record.
///
/// libzip compares the checksum when all bytes have been inflated. A caller that may use only a
/// part gets a reader after the record has been inflated once for that.
final class InflatedBytes: ComputedBytes {
  private let archive: LibZip
  private let index: Int
  private let name: String
  let byteCount: Int
  let isRandomAccess = false
  private let isVerified = Atomic(false)
  private let turn = Mutex(())

  /// Creates the bytes of the record at `index` in the archive's directory.
  init(archive: LibZip, index: Int, name: String, byteCount: Int) {
    self.archive = archive
    self.index = index
    self.name = name
    self.byteCount = byteCount
  }

  func makeWholeReader() throws -> any ByteReader {
    try LibZip.Stream(archive, index: index, name: name, byteCount: byteCount) { [weak self] in
      self?.isVerified.store(true, ordering: .releasing)
    }
  }

  func makeReader(at offset: Int) throws -> any ByteReader {
    if !isVerified.load(ordering: .acquiring) {
      try turn.withLock { _ in
        if !isVerified.load(ordering: .acquiring) { try makeWholeReader().skip(byteCount) }
      }
    }
    return try makeWholeReader()
  }
}
