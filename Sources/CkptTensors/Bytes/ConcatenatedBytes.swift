package import CkptBytes

/// Several runs of bytes as one.
package struct ConcatenatedBytes: ComputedBytes {
  private let parts: [ByteSource]
  /// The sum of the parts' lengths.
  package let byteCount: Int

  /// The bytes of `parts`, one after the other; together they must be countable.
  package init(_ parts: [ByteSource]) {
    self.parts = parts
    byteCount = parts.reduce(0) { $0 + $1.byteCount }
  }

  /// Whether all parts have it.
  package var isRandomAccess: Bool { parts.allSatisfy(\.isRandomAccess) }

  /// Prepares the parts that are computed.
  package func prepare() throws {
    for case .computed(let part) in parts { try part.prepare() }
  }

  /// Starts to read at `offset`.
  package func makeReader(at offset: Int) throws -> any ByteReader {
    var number = 0
    var start = offset
    while number < parts.count, start >= parts[number].byteCount {
      start -= parts[number].byteCount
      number += 1
    }
    return Reader(parts: parts[number...], start: start)
  }

  private final class Reader: ByteReader {
    private var parts: ArraySlice<ByteSource>
    private var current: (any ByteReader)?
    private var start: Int
    private var rest = 0

    init(parts: ArraySlice<ByteSource>, start: Int) {
      self.parts = parts
      self.start = start
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws {
      var done = 0
      while done < buffer.count {
        if rest == 0 {
          guard let part = parts.popFirst() else { return }
          current = try part.makeReader(at: start)
          rest = part.byteCount - start
          start = 0
          continue
        }
        let count = min(rest, buffer.count - done)
        try current?.read(
          into: UnsafeMutableRawBufferPointer(rebasing: buffer[done..<done + count]))
        done += count
        rest -= count
      }
    }
  }
}
