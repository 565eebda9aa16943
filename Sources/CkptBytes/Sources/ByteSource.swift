package import CkptPlatform

/// A lazily read run of bytes: in memory, stored in a file, or computed on demand.
///
/// The case determines how a writer handles the bytes: bytes in a file are copied from file to file
/// in blocks, bytes in memory are written directly, and computed bytes (inflated, byte-swapped,
/// merged, converted) are requested in blocks. Memory therefore does not grow with the number of
/// bytes.
package enum ByteSource: Sendable {
  /// Bytes in memory.
  case bytes([UInt8])
  /// Bytes stored in a file, without any encoding.
  case region(FileRegion)
  /// Bytes that are computed on demand.
  case computed(any ComputedBytes)

  /// The number of bytes.
  package var byteCount: Int {
    switch self {
    case .bytes(let bytes): bytes.count
    case .region(let region): region.byteCount
    case .computed(let computed): computed.byteCount
    }
  }

  /// Whether the bytes are stored in a file.
  var isRegion: Bool { if case .region = self { true } else { false } }

  /// Whether the bytes are exactly those for which a checksum is recorded.
  var isWholeRecord: Bool {
    if case .region(let region) = self { region.recordedCRC32 != nil } else { false }
  }

  /// Whether reading can start at any offset at little cost; see ``ComputedBytes/isRandomAccess``.
  package var isRandomAccess: Bool {
    if case .computed(let computed) = self { computed.isRandomAccess } else { true }
  }

  /// Whether ``prepare()`` has any work to do.
  package var needsPreparation: Bool {
    switch self {
    case .bytes: false
    case .region(let region): region.checksum?.isVerified == false
    case .computed(let computed): computed.needsPreparation
    }
  }

  /// Does the work that is needed once before reading: compares the checksum of a region's record,
  /// or see ``ComputedBytes/prepare()``.
  ///
  /// - Throws: what reading throws; `CancelledError`.
  package func prepare() throws {
    switch self {
    case .bytes: break
    case .region(let region): try region.verify()
    case .computed(let computed): try computed.prepare()
    }
  }
}

/// A byte range of an open file: a record of a container, or a part of one.
///
/// Wherever the bytes are read through a ``ByteSource``, the checksum of the whole record has been
/// compared before the first of them is used.
package struct FileRegion: Sendable {
  /// The file, open for reading.
  package let file: File
  /// The file offset of the first byte.
  package var offset: Int
  /// The number of bytes.
  package var byteCount: Int
  /// The checksum that the container records for the record; nil if there is none.
  package let checksum: RecordedChecksum?
  /// The name used in error messages, such as the record's name in an archive.
  package var name: String

  /// Creates the region of `byteCount` bytes at `offset` of `file`.
  ///
  /// - Parameter recordedCRC32: the CRC-32 that the container records for exactly these bytes.
  package init(
    file: File, offset: Int, byteCount: Int, recordedCRC32: UInt32? = nil, name: String
  ) {
    self.file = file
    self.offset = offset
    self.byteCount = byteCount
    checksum = recordedCRC32.map { RecordedChecksum($0, of: offset..<offset + byteCount) }
    self.name = name
  }

  /// The CRC-32 that the container records for exactly these bytes; nil if there is none, or if the
  /// region is only a part of the record.
  package var recordedCRC32: UInt32? {
    guard let checksum, checksum.range == offset..<offset + byteCount else { return nil }
    return checksum.crc32
  }
}

/// Bytes that are computed on demand, in blocks. Several threads may read them at the same time.
package protocol ComputedBytes: Sendable {
  /// The number of bytes.
  var byteCount: Int { get }
  /// Whether `makeReader(at:)` accepts any offset at little cost. If not, it is only called with 0,
  /// and one reader reads all bytes.
  var isRandomAccess: Bool { get }
  /// Whether ``prepare()`` has any work to do.
  var needsPreparation: Bool { get }
  /// Does the work that is needed once before reading, such as reading all inputs to compute a
  /// norm.
  ///
  /// A writer calls this in advance, on one thread, while other threads write preceding bytes.
  /// `makeReader(at:)` must not rely on it: the first caller of either does the work, and others
  /// wait for it.
  func prepare() throws
  /// Creates a reader that starts at `offset` (0 unless `isRandomAccess`).
  ///
  /// The bytes that it returns have been verified if a checksum is recorded for them.
  func makeReader(at offset: Int) throws -> any ByteReader
  /// Creates a reader whose caller reads all bytes, and uses none if that fails. It may therefore
  /// compare a checksum while it reads, rather than before.
  func makeWholeReader() throws -> any ByteReader
}

extension ComputedBytes {
  /// The default: no preparation is needed.
  package var needsPreparation: Bool { false }
  /// The default: does nothing.
  package func prepare() throws {}
  /// The default: the reader that starts at 0.
  package func makeWholeReader() throws -> any ByteReader { try makeReader(at: 0) }
}

/// Reads bytes sequentially; used by one thread at a time.
package protocol ByteReader: AnyObject {
  /// Fills `bytes` with the next bytes.
  ///
  /// A reader that reaches the end of its source must check a recorded checksum before it returns.
  ///
  /// - Throws: an error if the bytes end early or are damaged.
  func read(into bytes: inout MutableRawSpan) throws
}

extension ByteSource {
  /// Reads all bytes into memory; for sources that are known to be small.
  ///
  /// - Throws: what reading throws.
  package func allBytes() throws -> [UInt8] { try bytes(in: 0..<byteCount) }

  /// Reads a range of bytes into memory.
  ///
  /// A source without random access is read from its start.
  ///
  /// - Throws: what reading throws.
  package func bytes(in range: Range<Int>) throws -> [UInt8] {
    precondition(range.lowerBound >= 0 && range.upperBound <= byteCount)
    switch self {
    case .bytes(let bytes):
      return range.count == bytes.count ? bytes : Array(bytes[range])
    case .region(let region):
      let isWhole = range.count == region.byteCount && region.recordedCRC32 != nil
      if !isWhole, !range.isEmpty { try region.verify() }
      let bytes = try region.file.bytes(
        at: region.offset + range.lowerBound, count: range.count)
      if isWhole { try region.verify(havingRead: Checksum.crc32(bytes)) }
      return bytes
    case .computed:
      return try [UInt8](byteCount: range.count) { try read(into: &$0, at: range.lowerBound) }
    }
  }

  /// Reads the first bytes before a checksum has been compared: a header that tells where the other
  /// bytes are, whose checksum includes it.
  ///
  /// - Throws: what reading throws.
  package func unverifiedStart(_ count: Int) throws -> [UInt8] {
    precondition(count <= byteCount)
    return try [UInt8](byteCount: count) { try makeWholeReader().read(into: &$0) }
  }

  /// Fills `target` with the bytes that start at `offset`.
  ///
  /// A source without random access is read from its start.
  package func read(into target: inout MutableRawSpan, at offset: Int) throws {
    switch self {
    case .bytes(let bytes): target.copy(bytes[offset..<offset + target.byteCount])
    case .region(let region): try region.read(into: &target, at: offset)
    case .computed(let computed):
      let isWhole = target.byteCount == byteCount
      let reader = try isWhole ? computed.makeWholeReader() : makeReader(skippingTo: offset)
      try reader.read(into: &target)
    }
  }
}

extension ByteSource {
  /// Creates a reader that starts at `offset`, which must be 0 unless the source has random access.
  ///
  /// The checksum of a region's record is compared first.
  ///
  /// - Throws: what reading throws.
  package func makeReader(at offset: Int) throws -> any ByteReader {
    switch self {
    case .bytes(let bytes): return HeldReader(bytes[offset...])
    case .region(let region):
      if offset < region.byteCount { try region.verify() }
      return region.makeUncheckedReader(at: offset)
    case .computed(let computed): return try computed.makeReader(at: offset)
    }
  }

  /// Creates a reader that starts at `offset`; a source without random access is read and discarded
  /// up to there.
  ///
  /// - Throws: what reading throws.
  package func makeReader(skippingTo offset: Int) throws -> any ByteReader {
    if isRandomAccess { return try makeReader(at: offset) }
    let reader = try makeReader(at: 0)
    try reader.skip(offset)
    return reader
  }

  /// Creates a reader whose caller reads all bytes, and uses none if that fails; see
  /// ``ComputedBytes/makeWholeReader()``.
  ///
  /// - Throws: what reading throws.
  package func makeWholeReader() throws -> any ByteReader {
    switch self {
    case .bytes(let bytes): HeldReader(bytes[...])
    case .region(let region): try region.makeWholeReader()
    case .computed(let computed): try computed.makeWholeReader()
    }
  }
}

/// Reads bytes that are in memory.
private final class HeldReader: ByteReader {
  private var rest: ArraySlice<UInt8>

  init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

  func read(into bytes: inout MutableRawSpan) throws {
    precondition(bytes.byteCount <= rest.count, "the bytes end early")
    bytes.copy(rest.prefix(bytes.byteCount))
    rest = rest.dropFirst(bytes.byteCount)
  }
}
