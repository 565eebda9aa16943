/// A reader that makes its bytes a block at a time and hands them out in whatever pieces are asked for.
package protocol StagedReader: ByteReader {
  /// Where a block is made: memory that the reader owns.
  var staging: UnsafeMutableRawBufferPointer { get }
  /// What of it was not handed out yet.
  var pending: Range<Int> { get set }
  /// Makes the next block and says in ``pending`` what of it is wanted; throws where there is none.
  ///
  /// - Parameter wanted: how many bytes are asked for now; a block may give more, or fewer.
  func makeBlock(wanted: Int) throws
  /// Told how many bytes were handed out since last time.
  func didHandOut(_ byteCount: Int)
}

extension StagedReader {
  /// Nobody counts, mostly.
  package func didHandOut(_ byteCount: Int) {}

  /// Hands out what is pending, and makes blocks until the buffer is full.
  package func read(into buffer: UnsafeMutableRawBufferPointer) throws {
    var done = 0
    while done < buffer.count {
      if pending.isEmpty { try makeBlock(wanted: buffer.count - done) }
      let count = min(pending.count, buffer.count - done)
      let part = pending.lowerBound..<pending.lowerBound + count
      UnsafeMutableRawBufferPointer(rebasing: buffer[done..<done + count])
        .copyMemory(from: UnsafeRawBufferPointer(rebasing: staging[part]))
      pending = part.upperBound..<pending.upperBound
      done += count
      didHandOut(count)
    }
  }
}
