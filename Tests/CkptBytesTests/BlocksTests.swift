import CkptBytes
import CkptPlatform
import CkptTestSupport
import Testing

@Suite("Reading in blocks")
struct BlocksTests {
  private static let bytes = (0..<1000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 2) }

  /// The same bytes in memory, in a file, and computed with and without random access.
  private func sources(_ folder: TemporaryFolder) throws -> [ByteSource] {
    let file = try File(readingFrom: folder.write([7] + Self.bytes, to: "a"))
    let region = FileRegion(file: file, offset: 1, byteCount: 1000, name: "a")
    return [
      .bytes(Self.bytes), .region(region),
      .computed(JoinedBytesTests.Prepared(Self.bytes)),
      .computed(JoinedBytesTests.Prepared(Self.bytes, isRandomAccess: false)),
    ]
  }

  @Test(arguments: [1, 3, 250, 999, 1000, 1001, 4096])
  func `Blocks of any size are the source's bytes in their order, and only the last is shorter`(
    size: Int
  ) throws {
    let folder = try TemporaryFolder()
    for source in try sources(folder) {
      var found: [UInt8] = []
      try source.forEachBlock(of: size) { block, offset in
        #expect(offset == found.count)
        #expect(block.byteCount == min(size, 1000 - offset))
        block.withUnsafeBytes { bytes in
          #expect(Int(bitPattern: bytes.baseAddress) % 64 == 0)
          found += bytes
        }
      }
      #expect(found == Self.bytes)
    }
  }

  @Test func `A source without bytes has no blocks`() throws {
    try ByteSource.bytes([]).forEachBlock { _, _ in Issue.record("a block") }
  }

  @Test func `An error of the body ends the reading`() throws {
    struct Failed: Error {}
    var count = 0
    #expect(throws: Failed.self) {
      try ByteSource.bytes(Self.bytes).forEachBlock(of: 100) { _, _ in
        count += 1
        if count == 3 { throw Failed() }
      }
    }
    #expect(count == 3)
  }

  @Test(arguments: [0, 1, 999]) func `A reader that skips bytes goes on behind them`(start: Int)
    throws
  {
    let folder = try TemporaryFolder()
    for source in try sources(folder) {
      let reader = try source.makeReader(at: 0)
      try reader.skip(start)
      let expected = [Self.bytes[start]]
      #expect(try [UInt8](byteCount: 1) { try reader.read(into: &$0) } == expected)
      #expect(try [UInt8](byteCount: 1) { try source.read(into: &$0, at: start) } == expected)
    }
  }
}
