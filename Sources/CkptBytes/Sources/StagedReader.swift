/// A reader that computes its bytes in blocks, and returns them in pieces of any size.
package protocol StagedReader: ByteReader {
  /// The byte range of the block, which the reader owns, that has not been returned yet.
  var pending: Range<Int> { get set }
  /// Computes the next block and sets ``pending`` to the part of it that is to be returned.
  ///
  /// - Parameter wanted: the number of bytes that are needed now; a block may have more or fewer.
  /// - Throws: an error if there is no next block, or reading fails.
  func makeBlock(wanted: Int) throws
  /// Copies a part of the block to the start of `target`.
  func copyBlock(_ part: Range<Int>, to target: inout MutableRawSpan)
  /// Called with the number of bytes returned since the last call.
  func didHandOut(_ byteCount: Int)
}

extension StagedReader {
  /// The default: does nothing.
  package func didHandOut(_ byteCount: Int) {}

  /// Fills `bytes` with pending bytes, computing blocks as needed.
  ///
  /// - Throws: as ``makeBlock(wanted:)``.
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
