internal import CkptPlatform
internal import Synchronization

/// The CRC-32 that a container records for one of its records, and whether the record's bytes have
/// been compared with it.
///
/// All regions of the record share one object, so that a record is compared once, however many
/// tensors are views of it and whichever threads read them.
package final class RecordedChecksum: Sendable {
  /// The CRC-32 of the whole record.
  package let crc32: UInt32
  /// The range of the record's bytes in its file.
  package let range: Range<Int>
  private let compared = Atomic(false)
  private let turn = Mutex(())

  /// Creates the checksum of the bytes in `range`, which have not been compared yet.
  init(_ crc32: UInt32, of range: Range<Int>) {
    self.crc32 = crc32
    self.range = range
  }

  /// Whether the record's bytes have been read and match.
  package var isVerified: Bool { compared.load(ordering: .acquiring) }

  /// Compares the checksum of all of the record's bytes, which the caller has read.
  ///
  /// - Parameter region: the record or a part of it, for the error message.
  /// - Throws: ``ChecksumError``.
  func compare(_ found: UInt32, of region: FileRegion) throws(ChecksumError) {
    guard found == crc32 else {
      throw ChecksumError(
        file: region.file.path, record: region.name, recorded: crc32, found: found)
    }
    compared.store(true, ordering: .releasing)
  }

  /// Reads the record and compares its checksum, unless that has been done. Other threads wait.
  ///
  /// - Throws: ``ChecksumError``; `FileError`.
  func verify(for region: FileRegion) throws {
    guard !isVerified else { return }
    try turn.withLock { _ in
      guard !isVerified else { return }
      var sum: UInt32 = 0
      var block = AlignedBytes(count: min(ByteSource.blockSize, max(range.count, 1)))
      try UncheckedReader(region.file, at: range.lowerBound).forEachBlock(in: range, by: &block) {
        bytes, _ in sum = Checksum.crc32(bytes, from: sum)
      }
      try compare(sum, of: region)
    }
  }
}

extension FileRegion {
  /// Compares the checksum of the record that contains the region, unless that has been done.
  ///
  /// - Throws: ``ChecksumError``; `FileError`.
  package func verify() throws { try checksum?.verify(for: self) }

  /// Compares the checksum with that of all bytes of the region, which have been read, or verifies
  /// the record if the region is only a part of it.
  ///
  /// - Throws: ``ChecksumError``; `FileError`.
  func verify(havingRead sum: UInt32) throws {
    guard let checksum else { return }
    if recordedCRC32 == nil { return try checksum.verify(for: self) }
    try checksum.compare(sum, of: self)
  }

  /// Fills `bytes` with the bytes at `offset` of the region, after the record's checksum has been
  /// compared; if they are the whole record, it is compared when they have been read.
  ///
  /// - Throws: ``ChecksumError``; `FileError`.
  func read(into bytes: inout MutableRawSpan, at offset: Int) throws {
    let start = self.offset + offset
    guard let checksum, !checksum.isVerified, !bytes.isEmpty else {
      return try file.read(into: &bytes, at: start)
    }
    let isWhole = checksum.range == start..<start + bytes.byteCount
    if !isWhole { try checksum.verify(for: self) }
    try file.read(into: &bytes, at: start)
    if isWhole { try checksum.compare(Checksum.crc32(bytes.bytes), of: self) }
  }

  /// A reader of all bytes of the region, from first to last, that compares the checksum when it
  /// reaches the end of the record.
  ///
  /// - Throws: as ``verify()``.
  func makeWholeReader() throws -> any ByteReader {
    guard recordedCRC32 != nil, checksum?.isVerified == false else {
      try verify()
      return UncheckedReader(file, at: offset)
    }
    return ComparingReader(self)
  }

  /// A reader of the region's bytes that compares no checksum.
  func makeUncheckedReader(at offset: Int) -> any ByteReader {
    UncheckedReader(file, at: self.offset + offset)
  }
}

/// Reads a file sequentially.
final class UncheckedReader: ByteReader {
  private let file: File
  private var position: Int

  /// Creates a reader that starts at the file offset `position`.
  init(_ file: File, at position: Int) {
    self.file = file
    self.position = position
  }

  func read(into bytes: inout MutableRawSpan) throws {
    try file.read(into: &bytes, at: position)
    position += bytes.byteCount
  }
}

/// Reads a whole record, and compares its checksum before it returns the last bytes.
private final class ComparingReader: ByteReader {
  private let region: FileRegion
  private var position = 0
  private var sum: UInt32 = 0

  init(_ region: FileRegion) { self.region = region }

  func read(into bytes: inout MutableRawSpan) throws {
    try region.file.read(into: &bytes, at: region.offset + position)
    sum = Checksum.crc32(bytes.bytes, from: sum)
    position += bytes.byteCount
    if position == region.byteCount { try region.verify(havingRead: sum) }
  }
}
