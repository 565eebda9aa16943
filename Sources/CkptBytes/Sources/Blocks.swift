extension ByteSource {
  /// How many bytes are read at a time where nothing asks for more or fewer: as many as fit a cache.
  package static var blockSize: Int { 256 << 10 }

  /// Reads all the bytes in blocks, from front to back, and passes each block on.
  ///
  /// - Parameters:
  ///   - size: how many bytes a block has; the last one may have fewer.
  ///   - body: gets a block, which is valid during the call, and its offset in the source.
  /// - Throws: what reading and `body` throw.
  package func forEachBlock(
    of size: Int = blockSize,
    _ body: (_ block: UnsafeRawBufferPointer, _ offset: Int) throws -> Void
  ) throws {
    let block = AlignedBytes(count: min(size, max(byteCount, 1)))
    try makeReader(at: 0).forEachBlock(in: 0..<byteCount, by: block, body)
  }
}

extension ByteReader {
  /// Reads the next bytes in blocks that have the size of `block`, and passes each block on.
  ///
  /// - Parameters:
  ///   - range: which bytes of the source come next; they are read to their end.
  ///   - block: the memory for one block.
  ///   - body: gets a block, which is valid during the call, and its offset in the source.
  /// - Throws: what reading and `body` throw.
  package func forEachBlock(
    in range: Range<Int>, by block: borrowing AlignedBytes,
    _ body: (_ block: UnsafeRawBufferPointer, _ offset: Int) throws -> Void
  ) throws {
    try block.withElements { memory in
      for start in stride(from: range.lowerBound, to: range.upperBound, by: memory.count) {
        let count = min(memory.count, range.upperBound - start)
        let part = UnsafeMutableRawBufferPointer(
          UnsafeMutableBufferPointer(rebasing: memory[..<count]))
        try read(into: part)
        try body(UnsafeRawBufferPointer(part), start)
      }
    }
  }

  /// Reads `count` bytes and forgets them.
  package func skip(_ count: Int) throws {
    guard count > 0 else { return }
    try forEachBlock(in: 0..<count, by: AlignedBytes(count: min(count, 64 << 10))) { _, _ in }
  }
}
