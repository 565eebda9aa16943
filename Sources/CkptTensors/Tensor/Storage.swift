package import CkptBytes
internal import CkptPlatform

/// A run of elements that one or more tensors look into; known by identity, as PyTorch's storages are.
///
/// Nothing is read until somebody asks for it.
public final class Storage: Sendable {
  /// Its bytes: in a file, in memory, or computed on demand; little-endian.
  package let source: ByteSource
  /// The name that errors use for it.
  public let name: String
  /// The blocks of a few bits an element that a file holds in the place of its elements, if it does.
  public let blocks: Blocks?

  /// A kind of blocks, such as GGUF's `Q4_K`.
  public struct Blocks: Sendable {
    /// The format's own name.
    public let name: String
    /// Whether the storage gives the numbers that the blocks stand for; if not, it gives the blocks.
    public let isDecoded: Bool
    /// The blocks themselves.
    package let source: ByteSource

    /// Blocks of that name.
    package init(name: String, isDecoded: Bool, source: ByteSource) {
      self.name = name
      self.isDecoded = isDecoded
      self.source = source
    }
  }

  /// A storage of the bytes of `source`.
  package init(_ source: ByteSource, name: String = "", blocks: Blocks? = nil) {
    self.source = source
    self.name = name
    self.blocks = blocks
  }

  /// A storage of bytes in memory.
  public convenience init(bytes: [UInt8]) { self.init(.bytes(bytes)) }

  /// How many bytes it has.
  public var byteCount: Int { source.byteCount }

  /// The bytes of a range.
  ///
  /// - Throws: `FileError`, `ChecksumError`, and what a computed source throws.
  public func bytes(in range: Range<Int>) throws -> [UInt8] { try source.bytes(in: range) }
}

/// Bytes with the order of each element's bytes turned round: how a big-endian file is read.
package struct ByteSwapped: ComputedBytes {
  private let source: ByteSource
  private let width: Int

  /// The bytes of `source`, each group of `width` (2, 4 or 8) turned round.
  ///
  /// A rest that fills no group stays as it is.
  package init(_ source: ByteSource, width: Int) {
    self.source = source
    self.width = width
  }

  /// How many bytes there are: as many as the source has.
  package var byteCount: Int { source.byteCount }

  /// As the source.
  package var isRandomAccess: Bool { source.isRandomAccess }

  /// As the source.
  package var needsPreparation: Bool { source.needsPreparation }
  /// Prepares the source.
  package func prepare() throws { try source.prepare() }

  /// Starts to read at `offset`, which may lie inside a group.
  package func makeReader(at offset: Int) throws -> any ByteReader {
    let start = offset / width * width
    return Reader(
      source: try source.makeReader(at: start), position: start, skip: offset - start, width: width,
      end: byteCount)
  }

  private final class Reader: StagedReader {
    let source: any ByteReader
    var position: Int
    let width: Int
    let end: Int
    private var room = AlignedBytes(count: 0)
    var pending = 0..<0
    var skip: Int

    init(source: any ByteReader, position: Int, skip: Int, width: Int, end: Int) {
      self.source = source
      self.position = position
      self.skip = skip
      self.width = width
      self.end = end
    }

    func makeBlock(wanted: Int) throws {
      let groups = (min(wanted + skip, ByteSource.blockSize) + width - 1) / width
      let count = min(groups * width, end - position)
      guard count > 0 else {
        throw TensorError.outsideStorage(storage: "", needed: end + 1, available: end)
      }
      if room.count < count { room = AlignedBytes(count: count) }
      try room.withMutableBytes(first: count) { block in
        try source.read(into: &block)
        block.withUnsafeMutableBytes { block in
          for start in stride(from: 0, through: count - width, by: width) {
            for step in 0..<width / 2 { block.swapAt(start + step, start + width - 1 - step) }
          }
        }
      }
      position += count
      pending = skip..<count
      skip = 0
    }

    func copyBlock(_ part: Range<Int>, to target: inout MutableRawSpan) {
      room.copyBytes(in: part, to: &target)
    }
  }
}
