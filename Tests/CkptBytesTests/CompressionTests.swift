import CkptBytes
import CkptTestSupport
import Testing

@Suite("Compressed streams")
struct CompressionTests {
  struct Case: Decodable, CustomTestStringConvertible {
    let name: String
    let kind: String
    let compressed: [UInt8]
    let byteCount: Int
    let crc32: UInt32
    let problem: Bool
    var testDescription: String { name }
  }

  @Test(
    "What Python's modules read is read, with streams in a row",
    arguments: try Fixtures.decode([Case].self, from: "scan/streams.json"))
  func streams(example: Case) throws {
    let kind = try #require(Compression(rawValue: example.kind))
    #expect(kind == .deflate || Compression.recognize(example.compressed) == kind)
    let output = try kind.decompress(.bytes(example.compressed), limit: 10 << 20, path: "x")
    #expect((output.problem != nil) == example.problem)
    #expect(output.source.byteCount == example.byteCount)
    #expect(Checksum.crc32(try output.source.allBytes()) == example.crc32)
    let cut = try kind.decompress(.bytes(example.compressed), limit: 100, path: "x")
    #expect(cut.source.byteCount == min(100, example.byteCount))
    #expect(cut.isCut == (example.byteCount > 100))
  }
}
