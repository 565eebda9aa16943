import CkptBytes
import CkptPlatform
import CkptTestSupport
import Synchronization
import Testing

@Suite("Bytes one behind the other")
struct JoinedBytesTests {
  /// Bytes that count how often they were prepared.
  final class Prepared: ComputedBytes {
    let bytes: [UInt8]
    let isRandomAccess: Bool
    let needsPreparation: Bool
    private let preparations = Mutex(0)

    init(_ bytes: [UInt8], isRandomAccess: Bool = true, needsPreparation: Bool = true) {
      self.bytes = bytes
      self.isRandomAccess = isRandomAccess
      self.needsPreparation = needsPreparation
    }

    var byteCount: Int { bytes.count }
    var preparationCount: Int { preparations.withLock { $0 } }
    func prepare() throws { preparations.withLock { $0 += 1 } }

    func makeReader(at offset: Int) throws -> any ByteReader {
      #expect(isRandomAccess || offset == 0)
      return try ByteSource.bytes(bytes).makeReader(at: offset)
    }
  }

  @Test func `Any range of pieces of every kind is that of all the bytes`()
    throws
  {
    let folder = try TemporaryFolder()
    let all = (0..<900).map { UInt8(truncatingIfNeeded: $0 &* 7 >> 1) }
    let file = try File(readingFrom: folder.write(all, to: "a"))
    let pieces: [ByteSource] = [
      .bytes([]), .bytes(Array(all[..<1])),
      .region(FileRegion(file: file, offset: 1, byteCount: 299, name: "a")), .bytes([]),
      .computed(Prepared(Array(all[300..<600]))),
      .computed(Prepared(Array(all[600...]), needsPreparation: false)), .bytes([]),
    ]
    let joined = try #require(JoinedBytes(pieces))
    #expect(joined.byteCount == 900)
    #expect(joined.isRandomAccess)
    for (start, end) in [
      (0, 900), (0, 0), (0, 1), (1, 300), (299, 301), (300, 600), (599, 900), (900, 900),
    ] {
      #expect(
        try ByteSource.computed(joined).bytes(in: start..<end) == Array(all[start..<end]),
        "\(start) to \(end)")
    }
  }

  @Test func `A piece without random access makes the whole so, and a range is still right`() throws
  {
    let all = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 % 251) }
    let joined = try #require(
      JoinedBytes([
        .computed(Prepared(Array(all[..<200_000]), isRandomAccess: false)),
        .bytes(Array(all[200_000...])),
      ]))
    #expect(!joined.isRandomAccess)
    let source = ByteSource.computed(joined)
    #expect(try source.bytes(in: 150_000..<250_000) == Array(all[150_000..<250_000]))
    #expect(
      try source.part(150_000..<250_000).bytes(in: 10..<90_000) == Array(all[150_010..<240_000]))
  }

  @Test func `Preparation is needed where a piece needs it, and reaches each once`() throws {
    let (first, second) = (Prepared([1, 2]), Prepared([3]))
    let joined = try #require(
      JoinedBytes([.computed(first), .bytes([9]), .computed(second)]))
    #expect(joined.needsPreparation)
    #expect(ByteSource.computed(joined).part(0..<2).needsPreparation)
    try ByteSource.computed(joined).prepare()
    #expect(first.preparationCount == 1)
    #expect(second.preparationCount == 1)
    let plain = try #require(
      JoinedBytes([.bytes([1]), .computed(Prepared([2], needsPreparation: false))]))
    #expect(!plain.needsPreparation)
  }

  @Test func `More bytes than can be counted are refused`() {
    struct Huge: ComputedBytes {
      let byteCount = Int.max
      let isRandomAccess = true
      func makeReader(at offset: Int) throws -> any ByteReader {
        try ByteSource.bytes([]).makeReader(at: 0)
      }
    }
    #expect(JoinedBytes([.computed(Huge()), .bytes([])]) != nil)
    #expect(JoinedBytes([.computed(Huge()), .bytes([1])]) == nil)
  }
}
