internal import CkptPlatform

/// The concatenation of several sources.
package struct JoinedBytes: ComputedBytes {
  private let pieces: [ByteSource]
  /// The offset of each piece, followed by the total number of bytes.
  private let starts: [Int]
  /// Whether all pieces have random access.
  package let isRandomAccess: Bool

  /// Creates the concatenation of `pieces`; nil if the total number of bytes overflows.
  package init?(_ pieces: [ByteSource]) {
    var starts = [0]
    starts.reserveCapacity(pieces.count + 1)
    var end = 0
    for piece in pieces {
      let (next, overflow) = end.addingReportingOverflow(piece.byteCount)
      guard !overflow else { return nil }
      end = next
      starts.append(end)
    }
    self.pieces = pieces
    self.starts = starts
    isRandomAccess = pieces.allSatisfy(\.isRandomAccess)
  }

  /// The total number of bytes.
  package var byteCount: Int { starts[pieces.count] }

  /// Whether a piece needs preparation.
  package var needsPreparation: Bool { pieces.contains(where: \.needsPreparation) }

  /// Prepares every piece.
  package func prepare() throws {
    for piece in pieces { try piece.prepare() }
  }

  /// Creates a reader that starts at `offset`.
  ///
  /// - Throws: what creating a piece's reader throws.
  package func makeReader(at offset: Int) throws -> any ByteReader {
    var (low, high) = (0, pieces.count)
    while low < high {
      let middle = (low + high) / 2
      if starts[middle + 1] <= offset { low = middle + 1 } else { high = middle }
    }
    return Reader(self, piece: low, skip: offset - starts[low])
  }

  /// Creates a reader of all bytes.
  package func makeWholeReader() -> any ByteReader {
    Reader(self, piece: 0, skip: 0, readsAll: true)
  }

  private final class Reader: ByteReader {
    private let joined: JoinedBytes
    private let readsAll: Bool
    private var piece: Int
    private var position: Int
    private var reader: (any ByteReader)?

    init(_ joined: JoinedBytes, piece: Int, skip: Int, readsAll: Bool = false) {
      self.readsAll = readsAll
      self.joined = joined
      self.piece = piece
      position = skip
    }

    func read(into bytes: inout MutableRawSpan) throws {
      var done = 0
      while done < bytes.byteCount {
        let source = joined.pieces[piece]
        let count = min(source.byteCount - position, bytes.byteCount - done)
        if count > 0 {
          let reader =
            try reader ?? (readsAll ? source.makeWholeReader() : source.makeReader(at: position))
          self.reader = reader
          var part = bytes._mutatingExtracting(done..<done + count)
          try reader.read(into: &part)
          done += count
          position += count
        }
        if position == source.byteCount {
          piece += 1
          position = 0
          reader = nil
        }
      }
    }
  }
}
