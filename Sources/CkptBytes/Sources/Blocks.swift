package import CkptPlatform

extension ByteSource {
  /// How many bytes are read at a time where nothing asks for more or fewer: as many as fit a cache.
  package static var blockSize: Int { 256 << 10 }

  /// Reads all the bytes in blocks, from front to back, and passes each block on.
  ///
  /// - Parameters:
  ///   - size: how many bytes a block has; the last one may have fewer.
  ///   - body: gets a block and its offset in the source.
  /// - Throws: what reading and `body` throw.
  package func forEachBlock(
    of size: Int = blockSize, _ body: (_ block: RawSpan, _ offset: Int) throws -> Void
  ) throws {
    var block = AlignedBytes(count: min(size, max(byteCount, 1)))
    try makeReader(at: 0).forEachBlock(in: 0..<byteCount, by: &block, body)
  }
}

extension ByteReader {
  /// Reads the next bytes in blocks that have the size of `block`, and passes each block on.
  ///
  /// - Parameters:
  ///   - range: which bytes of the source come next; they are read to their end.
  ///   - block: the memory for one block.
  ///   - body: gets a block and its offset in the source.
  /// - Throws: what reading and `body` throw.
  package func forEachBlock(
    in range: Range<Int>, by block: inout AlignedBytes,
    _ body: (_ block: RawSpan, _ offset: Int) throws -> Void
  ) throws {
    for start in stride(from: range.lowerBound, to: range.upperBound, by: block.count) {
      try block.withMutableBytes(first: min(block.count, range.upperBound - start)) { part in
        try read(into: &part)
        try body(part.bytes, start)
      }
    }
  }

  /// Reads `count` bytes and forgets them.
  package func skip(_ count: Int) throws {
    guard count > 0 else { return }
    var block = AlignedBytes(count: min(count, 64 << 10))
    try forEachBlock(in: 0..<count, by: &block) { _, _ in }
  }
}
