/// A reader that makes its bytes a block at a time and hands them out in whatever pieces are asked for.
package protocol StagedReader: ByteReader {
  /// What of the block, which the reader owns, was not handed out yet, in bytes.
  var pending: Range<Int> { get set }
  /// Makes the next block and says in ``pending`` what of it is wanted; throws where there is none.
  ///
  /// - Parameter wanted: how many bytes are asked for now; a block may give more, or fewer.
  func makeBlock(wanted: Int) throws
  /// Copies a part of the block to the front of `target`.
  func copyBlock(_ part: Range<Int>, to target: inout MutableRawSpan)
  /// Told how many bytes were handed out since last time.
  func didHandOut(_ byteCount: Int)
}

extension StagedReader {
  /// Nobody counts, mostly.
  package func didHandOut(_ byteCount: Int) {}

  /// Hands out what is pending, and makes blocks until all bytes are filled.
  package func read(into bytes: inout MutableRawSpan) throws {
    var done = 0
    while done < bytes.byteCount {
      if pending.isEmpty { try makeBlock(wanted: bytes.byteCount - done) }
      let count = min(pending.count, bytes.byteCount - done)
      let part = pending.lowerBound..<pending.lowerBound + count
      var target = bytes._mutatingExtracting(done..<done + count)
      copyBlock(part, to: &target)
      pending = part.upperBound..<pending.upperBound
      done += count
      didHandOut(count)
    }
  }
}
