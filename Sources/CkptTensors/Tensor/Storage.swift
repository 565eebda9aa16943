package import CkptBytes
internal import CkptPlatform

/// A sequence of bytes that one or more tensors are views of. Storages are compared by identity, as
/// in PyTorch.
///
/// The bytes are read lazily.
public final class Storage: Sendable {
  /// The bytes: in a file, in memory, or computed on demand; little-endian.
  package let source: ByteSource
  /// The name used in error messages.
  public let name: String
  /// The quantized blocks in the file from which the elements are computed; nil if there are none.
  public let blocks: Blocks?

  /// Quantized blocks, such as GGUF's `Q4_K`.
  public struct Blocks: Sendable {
    /// The name of the block type in its format.
    public let name: String
    /// Whether the storage contains the dequantized numbers rather than the blocks.
    public let isDecoded: Bool
    /// The bytes of the blocks.
    package let source: ByteSource

    /// Creates a description of blocks.
    package init(name: String, isDecoded: Bool, source: ByteSource) {
      self.name = name
      self.isDecoded = isDecoded
      self.source = source
    }
  }

  /// Creates a storage with the bytes of `source`.
  package init(_ source: ByteSource, name: String = "", blocks: Blocks? = nil) {
    self.source = source
    self.name = name
    self.blocks = blocks
  }

  /// Creates a storage with bytes in memory.
  public convenience init(bytes: [UInt8]) { self.init(.bytes(bytes)) }

  /// The number of bytes.
  public var byteCount: Int { source.byteCount }

  /// Reads a range of bytes into memory.
  ///
  /// - Throws: `FileError`; `ChecksumError`; what a computed source throws.
  public func bytes(in range: Range<Int>) throws -> [UInt8] { try source.bytes(in: range) }
}

/// The bytes of a source with the byte order of each element reversed; used to read big-endian
/// files.
package struct ByteSwapped: ComputedBytes {
  private let source: ByteSource
  private let width: Int

  /// Creates a source in which each group of `width` bytes (2, 4, or 8) of `source` is reversed.
  ///
  /// Bytes after the last complete group are unchanged.
  package init(_ source: ByteSource, width: Int) {
    self.source = source
    self.width = width
  }

  /// The number of bytes, the same as the source's.
  package var byteCount: Int { source.byteCount }

  /// The same as the source's.
  package var isRandomAccess: Bool { source.isRandomAccess }

  /// The same as the source's.
  package var needsPreparation: Bool { source.needsPreparation }
  /// Prepares the source.
  ///
  /// - Throws: what preparing the source throws.
  package func prepare() throws { try source.prepare() }

  /// Creates a reader that starts at `offset`, which may be inside a group.
  ///
  /// - Throws: what reading the source throws.
  package func makeReader(at offset: Int) throws -> any ByteReader {
    let start = offset / width * width
    return Reader(
      source: try source.makeReader(at: start), position: start, skip: offset - start, width: width,
      end: byteCount)
  }

  /// Creates a reader of all bytes.
  ///
  /// - Throws: what reading the source throws.
  package func makeWholeReader() throws -> any ByteReader {
    Reader(
      source: try source.makeWholeReader(), position: 0, skip: 0, width: width, end: byteCount)
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
        switch width {
        case 2: swapBytes(of: UInt16.self, in: &block)
        case 4: swapBytes(of: UInt32.self, in: &block)
        default: swapBytes(of: UInt64.self, in: &block)
        }
      }
      position += count
      pending = skip..<count
      skip = 0
    }

    private func swapBytes<Number: FixedWidthInteger & BitwiseCopyable>(
      of type: Number.Type, in block: inout MutableRawSpan
    ) {
      for start in stride(from: 0, through: block.byteCount - width, by: width) {
        let number = block.unsafeLoadUnaligned(fromByteOffset: start, as: type)
        block.storeBytes(of: number.byteSwapped, toByteOffset: start, as: type)
      }
    }

    func copyBlock(_ part: Range<Int>, to target: inout MutableRawSpan) {
      room.copyBytes(in: part, to: &target)
    }
  }
}
