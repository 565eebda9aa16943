package import CkptPlatform

extension ByteSource {
  /// The default number of bytes in a block, which fits in a cache.
  package static var blockSize: Int { 256 << 10 }

  /// Reads all bytes sequentially in blocks. A checksum may be compared only when the last block is
  /// read: if this throws, no block may be used.
  ///
  /// - Parameters:
  ///   - size: the number of bytes in a block; the last one may have fewer.
  ///   - body: called with a block and its offset in the source.
  /// - Throws: what reading and `body` throw.
  package func forEachBlock(
    of size: Int = blockSize, _ body: (_ block: RawSpan, _ offset: Int) throws -> Void
  ) throws {
    var block = AlignedBytes(count: min(size, max(byteCount, 1)))
    try makeWholeReader().forEachBlock(in: 0..<byteCount, by: &block, body)
  }
}

extension ByteReader {
  /// Reads the next bytes in blocks of the size of `block`.
  ///
  /// - Parameters:
  ///   - range: the byte range of the source that is read; the reader must be at its start.
  ///   - block: memory for one block.
  ///   - body: called with a block and its offset in the source.
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

  /// Reads and discards `count` bytes.
  ///
  /// - Throws: what reading throws.
  package func skip(_ count: Int) throws {
    guard count > 0 else { return }
    var block = AlignedBytes(count: min(count, 64 << 10))
    try forEachBlock(in: 0..<count, by: &block) { _, _ in }
  }
}
