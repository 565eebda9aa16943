internal import CkptPlatform

/// A number of bytes that are 0, in place of bytes that are lost.
package struct ZeroBytes: ComputedBytes {
  /// The number of bytes.
  package let byteCount: Int
  /// Always true.
  package var isRandomAccess: Bool { true }

  /// Creates `byteCount` bytes.
  package init(byteCount: Int) { self.byteCount = byteCount }

  /// Creates a reader that starts at `offset`.
  package func makeReader(at offset: Int) -> any ByteReader { Reader() }

  private final class Reader: ByteReader {
    func read(into bytes: inout MutableRawSpan) { bytes.fill(with: 0) }
  }
}
