package import CkptPlatform

/// A lazily read run of bytes: in memory, stored in a file, or computed on demand.
///
/// Whoever writes asks this first: what already lies in a file moves block by block from file to
/// file, what is in memory is written from there, and what must be computed (inflated, byte-swapped,
/// merged, converted) is asked for in blocks, so that memory does not grow with the file.
package enum ByteSource: Sendable {
  /// Bytes in memory.
  case bytes([UInt8])
  /// Bytes that lie in a file as they are wanted.
  case region(FileRegion)
  /// Bytes that are made on demand.
  case computed(any ComputedBytes)

  /// How many bytes there are.
  package var byteCount: Int {
    switch self {
    case .bytes(let bytes): bytes.count
    case .region(let region): region.byteCount
    case .computed(let computed): computed.byteCount
    }
  }

  /// Whether any place can be read at little cost; see ``ComputedBytes/isRandomAccess``.
  package var isRandomAccess: Bool {
    if case .computed(let computed) = self { computed.isRandomAccess } else { true }
  }

  /// Whether ``prepare()`` does anything.
  package var needsPreparation: Bool {
    if case .computed(let computed) = self { computed.needsPreparation } else { false }
  }

  /// Does what must be done once before the first reader; see ``ComputedBytes/prepare()``.
  ///
  /// - Throws: what reading throws; `CancelledError`.
  package func prepare() throws {
    if case .computed(let computed) = self { try computed.prepare() }
  }
}

/// A run of bytes in an open file.
package struct FileRegion: Sendable {
  /// The file, open for reading.
  package var file: File
  /// Where the run begins, in bytes from the file's start.
  package var offset: Int
  /// How long it is.
  package var byteCount: Int
  /// The CRC-32 that the container recorded for exactly these bytes; nil if it recorded none.
  package var recordedCRC32: UInt32?
  /// What errors call it, such as the record's name in an archive.
  package var name: String

  /// A run of `byteCount` bytes from `offset` of `file`.
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

/// Bytes that are computed on demand, in blocks, possibly by several threads at once.
package protocol ComputedBytes: Sendable {
  /// How many bytes there are in all.
  var byteCount: Int { get }
  /// Whether `makeReader(at:)` takes any offset at little cost; if not, only 0 is asked for, and one
  /// reader goes through the whole.
  var isRandomAccess: Bool { get }
  /// Whether ``prepare()`` does anything.
  var needsPreparation: Bool { get }
  /// Does what must be done once before the first reader, such as going through the inputs for a norm.
  ///
  /// A writer calls it ahead of time, on one thread, while others are still busy with what comes before.
  /// `makeReader(at:)` must not rely on that: whoever comes first does the work, and others wait for it.
  func prepare() throws
  /// Starts to read at `offset` (0 unless `isRandomAccess`).
  func makeReader(at offset: Int) throws -> any ByteReader
}

extension ComputedBytes {
  /// Nothing, unless the source says otherwise.
  package var needsPreparation: Bool { false }
  /// Nothing.
  package func prepare() throws {}
}

/// Goes through bytes from front to back; used by one thread at a time.
package protocol ByteReader: AnyObject {
  /// Fills the whole of `bytes` with those that come next.
  ///
  /// Throws where the bytes end early or turn out to be damaged. A reader that reaches the end of
  /// its source must have checked whatever checksum the container recorded before it returns.
  func read(into bytes: inout MutableRawSpan) throws
}

extension ByteSource {
  /// All the bytes, in memory: for what is known to be small.
  package func allBytes() throws -> [UInt8] { try bytes(in: 0..<byteCount) }

  /// The bytes of a range, in memory.
  ///
  /// A source without random access is read from its start.
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

  /// Fills `target` with the bytes from `offset` on.
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
  /// Starts to read at `offset`; 0 unless the source has random access.
  package func makeReader(at offset: Int) throws -> any ByteReader {
    if case .computed(let computed) = self { return try computed.makeReader(at: offset) }
    return DirectReader(source: self, position: offset)
  }

  /// Starts to read at `offset`; a source without random access is read from its start up to there.
  package func makeReader(skippingTo offset: Int) throws -> any ByteReader {
    if isRandomAccess { return try makeReader(at: offset) }
    let reader = try makeReader(at: 0)
    try reader.skip(offset)
    return reader
  }
}

/// Goes through bytes that need not be computed.
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
