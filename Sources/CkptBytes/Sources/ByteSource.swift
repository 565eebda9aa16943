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

  /// Whether reading can start at any offset at little cost; see ``ComputedBytes/isRandomAccess``.
  package var isRandomAccess: Bool {
    if case .computed(let computed) = self { computed.isRandomAccess } else { true }
  }

  /// Whether ``prepare()`` has any work to do.
  package var needsPreparation: Bool {
    if case .computed(let computed) = self { computed.needsPreparation } else { false }
  }

  /// Does the work that is needed once before reading; see ``ComputedBytes/prepare()``.
  ///
  /// - Throws: what reading throws; `CancelledError`.
  package func prepare() throws {
    if case .computed(let computed) = self { try computed.prepare() }
  }
}

/// A byte range of an open file.
package struct FileRegion: Sendable {
  /// The file, open for reading.
  package var file: File
  /// The file offset of the first byte.
  package var offset: Int
  /// The number of bytes.
  package var byteCount: Int
  /// The CRC-32 that the container records for exactly these bytes; nil if there is none.
  package var recordedCRC32: UInt32?
  /// The name used in error messages, such as the record's name in an archive.
  package var name: String

  /// Creates the region of `byteCount` bytes at `offset` of `file`.
  package init(
    file: File, offset: Int, byteCount: Int, recordedCRC32: UInt32? = nil, name: String
  ) {
    self.file = file
    self.offset = offset
    self.byteCount = byteCount
    self.recordedCRC32 = recordedCRC32
    self.name = name
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
  func makeReader(at offset: Int) throws -> any ByteReader
}

extension ComputedBytes {
  /// The default: no preparation is needed.
  package var needsPreparation: Bool { false }
  /// The default: does nothing.
  package func prepare() throws {}
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
      return try region.file.bytes(at: region.offset + range.lowerBound, count: range.count)
    case .computed:
      return try [UInt8](byteCount: range.count) { try read(into: &$0, at: range.lowerBound) }
    }
  }

  /// Fills `target` with the bytes that start at `offset`.
  ///
  /// A source without random access is read from its start.
  package func read(into target: inout MutableRawSpan, at offset: Int) throws {
    switch self {
    case .bytes(let bytes): target.copy(bytes[offset..<offset + target.byteCount])
    case .region(let region): try region.file.read(into: &target, at: region.offset + offset)
    case .computed: try makeReader(skippingTo: offset).read(into: &target)
    }
  }
}

extension ByteSource {
  /// Creates a reader that starts at `offset`, which must be 0 unless the source has random access.
  ///
  /// - Throws: what reading throws.
  package func makeReader(at offset: Int) throws -> any ByteReader {
    if case .computed(let computed) = self { return try computed.makeReader(at: offset) }
    return DirectReader(source: self, position: offset)
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
}

/// Reads bytes that are in memory or in a file.
private final class DirectReader: ByteReader {
  let source: ByteSource
  var position: Int

  init(source: ByteSource, position: Int) {
    self.source = source
    self.position = position
  }

  func read(into bytes: inout MutableRawSpan) throws {
    try source.read(into: &bytes, at: position)
    position += bytes.byteCount
  }
}
