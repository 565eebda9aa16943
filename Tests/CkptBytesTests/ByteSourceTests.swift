import CkptBytes
import CkptPlatform
import CkptTestSupport
import Testing

@Suite("Byte sources")
struct ByteSourceTests {
  /// Bytes that count upwards, with or without random access.
  struct Counting: ComputedBytes {
    let byteCount: Int
    let isRandomAccess: Bool

    final class Reader: ByteReader {
      var position: Int
      init(_ position: Int) { self.position = position }
      func read(into bytes: inout MutableRawSpan) throws {
        bytes.copy(
          (position..<position + bytes.byteCount).map { UInt8(truncatingIfNeeded: $0) }[...])
        position += bytes.byteCount
      }
    }

    func makeReader(at offset: Int) throws -> any ByteReader {
      #expect(isRandomAccess || offset == 0)
      return Reader(offset)
    }
  }

  @Test("Memory, file and computed bytes give the same ranges", arguments: [0, 1, 77, 300])
  func ranges(start: Int) throws {
    let folder = try TemporaryFolder()
    let bytes = (0..<1000).map { UInt8(truncatingIfNeeded: $0) }
    let file = try File(readingFrom: folder.write([5, 5, 5] + bytes, to: "a"))
    let sources: [ByteSource] = [
      .bytes(bytes), .region(FileRegion(file: file, offset: 3, byteCount: 1000, name: "a")),
      .computed(Counting(byteCount: 1000, isRandomAccess: true)),
      .computed(Counting(byteCount: 1000, isRandomAccess: false)),
    ]
    for source in sources {
      #expect(source.byteCount == 1000)
      #expect(try source.allBytes() == bytes)
      #expect(try source.bytes(in: start..<start + 500) == Array(bytes[start..<start + 500]))
      #expect(try source.bytes(in: start..<start).isEmpty)
    }
  }
}
