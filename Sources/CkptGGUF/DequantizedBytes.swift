internal import CkptPlatform
package import CkptBytes

/// The dequantized numbers of blocks as little-endian float32, computed on demand.
package struct DequantizedBytes: ComputedBytes {
  private let source: ByteSource
  private let type: GGUFType
  private let kernel: BlockKernel

  /// Creates a source for the dequantized blocks of `source`; nil if the type is not supported.
  package init?(_ source: ByteSource, type: GGUFType) {
    guard let kernel = BlockKernels.kernel(for: type),
      source.byteCount.isMultiple(of: type.block.byteCount)
    else { return nil }
    self.source = source
    self.type = type
    self.kernel = kernel
  }

  /// The number of bytes, four per element.
  package var byteCount: Int {
    source.byteCount / type.block.byteCount * type.block.elementCount * 4
  }

  /// The same as the source's.
  package var isRandomAccess: Bool { source.isRandomAccess }

  /// Creates a reader that starts at `offset`, which may be inside a block.
  ///
  /// - Throws: what reading the source throws.
  package func makeReader(at offset: Int) throws -> any ByteReader {
    let size = type.block.elementCount * 4
    let start = offset / size
    return Reader(
      source: try source.makeReader(at: start * type.block.byteCount),
      blocksLeft: source.byteCount / type.block.byteCount - start, skip: offset - start * size,
      block: type.block, kernel: kernel)
  }

  private final class Reader: StagedReader {
    private let source: any ByteReader
    private var blocksLeft: Int
    private var skip: Int
    private let block: (elementCount: Int, byteCount: Int)
    private let kernel: BlockKernel
    private var blocks: AlignedBytes
    private var numbers: AlignedBuffer<Float>
    /// The byte range of `numbers` that has not been returned.
    var pending = 0..<0

    /// The number of elements that are computed at a time; their 64 KiB fit in the nearest caches.
    private static let elementCount = 16 << 10

    init(
      source: any ByteReader, blocksLeft: Int, skip: Int,
      block: (elementCount: Int, byteCount: Int), kernel: @escaping BlockKernel
    ) {
      self.source = source
      self.blocksLeft = blocksLeft
      self.skip = skip
      self.block = block
      self.kernel = kernel
      let count = Self.elementCount / block.elementCount
      blocks = AlignedBytes(count: count * block.byteCount)
      numbers = AlignedBuffer(count: count * block.elementCount)
    }

    func makeBlock(wanted: Int) throws {
      let size = block.elementCount * 4
      let count = min(
        (wanted + skip + size - 1) / size, numbers.count / block.elementCount, blocksLeft)
      try blocks.withMutableBytes(first: count * block.byteCount) { input in
        try source.read(into: &input)
        numbers.withMutableSpan(first: numbers.count) { kernel(input.bytes, &$0, count) }
      }
      blocksLeft -= count
      pending = skip..<count * size
      skip = 0
    }

    func copyBlock(_ part: Range<Int>, to target: inout MutableRawSpan) {
      numbers.copyBytes(in: part, to: &target)
    }
  }
}
