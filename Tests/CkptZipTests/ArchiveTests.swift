import CkptPlatform
import CkptBytes
import CkptTestSupport
import Testing

@testable import CkptZip

@Suite("Archives, written and read")
struct ArchiveTests {
  let folder: TemporaryFolder
  /// As PyTorch aligns records.
  private let padding = ZipPadding(alignment: 64, fieldID: 0x4246, fill: UInt8(ascii: "Z"))

  init() throws { folder = try TemporaryFolder() }

  /// Writes an archive of these records and gives its path.
  func archive(_ records: [ZipRecord], name: String = "a.zip") throws -> String {
    let output = try AtomicOutput(path: folder.file(name), replacingExisting: true)
    try ZipWriter().write(ZipPlan(records, padding: padding), to: output.file)
    try output.commit()
    return output.path
  }

  func record(_ name: String, _ bytes: [UInt8]) -> ZipRecord {
    ZipRecord(name: name, content: .source(.bytes(bytes)))
  }

  @Test("Random records come back, each beginning at a multiple of 64", arguments: 0..<20)
  func roundTrip(seed: Int) throws {
    var random = SeededRandom(seed)
    let all = (0..<Int.random(in: 0...30, using: &random)).map { number in
      let name = "top/" + String(repeating: "n", count: Int.random(in: 0...90, using: &random))
      return (
        name: "\(name)\(number)é", bytes: random.bytes(Int.random(in: 0...3000, using: &random))
      )
    }
    let reader = try ZipReader(path: archive(all.map { record($0.name, $0.bytes) }))
    #expect(reader.entries.map(\.name) == all.map(\.name))
    for (name, bytes) in all {
      let entry = try #require(reader.entry(named: name))
      #expect(try reader.read(entry, limit: 1 << 20) == bytes)
      #expect(try reader.dataOffset(of: entry) % 64 == 0)
    }
  }

  @Test("Bytes from memory, from a file and computed give the same archive")
  func sources() throws {
    var random = SeededRandom(1)
    // More than one block of the writer.
    let bytes = random.bytes(3_000_001)
    let file = try File(readingFrom: folder.write([1, 2, 3] + bytes, to: "raw"))
    let region = FileRegion(file: file, offset: 3, byteCount: bytes.count, name: "raw")
    struct Computed: ComputedBytes {
      let source: ByteSource
      let isRandomAccess: Bool
      var byteCount: Int { source.byteCount }
      func makeReader(at offset: Int) throws -> any ByteReader { try source.makeReader(at: offset) }
    }
    let expected = try contents(of: archive([record("x/a", bytes), record("x/b", [1])]))
    let others: [ByteSource] = [
      .region(region), .computed(Computed(source: .bytes(bytes), isRandomAccess: true)),
      .computed(Computed(source: .region(region), isRandomAccess: false)),
    ]
    for source in others {
      let path = try archive(
        [ZipRecord(name: "x/a", content: .source(source)), record("x/b", [1])], name: "b.zip")
      #expect(try contents(of: path) == expected)
    }
  }

  @Test("A record whose bytes are not those of its recorded sum stops the writer")
  func wrongSum() throws {
    let path = try archive([record("x/data", [UInt8](repeating: 7, count: 1000))])
    let position = try ZipReader(path: path).dataOffset(of: try ZipReader(path: path).entries[0])
    var bytes = try contents(of: path)
    bytes[position + 500] ^= 1
    let damaged = try ZipReader(path: folder.write(bytes, to: "damaged"))
    let source = try damaged.source(of: damaged.entries[0])
    let error = #expect(throws: ChecksumError.self) {
      try archive([ZipRecord(name: "y", content: .source(source), key: "layer.weight")])
    }
    #expect(error?.description.contains("layer.weight") == true)
    #expect(error?.description.contains("x/data") == true)
    #expect(throws: ChecksumError.self) { try damaged.read(damaged.entries[0], limit: 1 << 20) }
  }

  @Test("Work that was cancelled ends the writing")
  func cancelled() throws {
    let cancellation = Cancellation()
    cancellation.cancel()
    let output = try AtomicOutput(path: folder.file("c"), replacingExisting: false)
    #expect(
      message(of: CancelledError.self) {
        try ZipWriter(StreamWriter(cancellation: cancellation)).write(
          ZipPlan([record("a", [UInt8](repeating: 0, count: 100))], padding: padding),
          to: output.file)
      }
        == "interrupted; nothing was written")
  }

  private func layout(_ records: (String, Int)...) throws -> ZipLayout {
    try ZipLayout(records.map { (name: $0.0, byteCount: $0.1) }, padding: padding)
  }

  @Test("Names that occur twice or are too long cannot be written")
  func badNames() {
    #expect(
      message(of: ZipError.self) { try layout(("a", 1), ("a", 1)) }
        == "a record's name occurs twice (\"a\")")
    #expect(throws: ZipError.self) { try layout((String(repeating: "a", count: 70_000), 1)) }
    #expect(
      message(of: ZipError.self) { try layout(("a", Int.max)) }
        == "the records are too large for one archive (\"a\")")
    #expect(
      message(of: ZipError.self) { try layout(("a", 1 << 60), ("b", 1 << 61)) }
        == "the records are too large for one archive (\"b\")")
  }

  @Test("Records beyond 4 GiB are laid out as PyTorch 2.15 was seen to do")
  func large() throws {
    let gib = 1 << 30
    let layout = try self.layout(
      ("a/data.pkl", 100), ("a/data/0", 5 * gib), ("a/data/1", 8), ("a/v", 2))
    let slots = layout.slots
    #expect(slots.allSatisfy { $0.dataOffset % 64 == 0 })
    // A large record: sizes in the extra field before it, 24 bytes of descriptor behind it.
    #expect(slots[1].end == slots[1].dataOffset + 5 * gib + 24)
    let header = layout.header(slots[1])
    #expect(header.count == slots[1].dataOffset - slots[1].headerOffset)
    let extra = 30 + "a/data/0".utf8.count
    #expect(Array(header[extra..<extra + 12]) == [1, 0, 16, 0, 0, 0, 0, 64, 1, 0, 0, 0])
    // A far one: its offset in the extra field.
    let far = layout.header(slots[2])
    #expect(Array(far[extra..<extra + 4]) == [1, 0, 8, 0])
    #expect(slots[2].end == slots[2].dataOffset + 8 + 24)
    let directory = layout.directory(crc32: [1, 2, 3, 4])
    #expect(directory.suffix(22).prefix(4).elementsEqual([0x50, 0x4B, 5, 6]))
    #expect(directory.suffix(6).prefix(4).elementsEqual([255, 255, 255, 255]))
  }
}
