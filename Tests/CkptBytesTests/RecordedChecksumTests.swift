import CkptPlatform
import CkptTestSupport
import Testing

@testable import CkptBytes

@Suite("Recorded checksums")
struct RecordedChecksumTests {
  let folder: TemporaryFolder
  let bytes: [UInt8]
  let file: File

  init() throws {
    folder = try TemporaryFolder()
    var random = SeededRandom(5)
    bytes = random.bytes(10_000)
    file = try File(readingFrom: folder.write(bytes, to: "record"))
  }

  /// The record of bytes 1000 to 9000, with a checksum that is right or not.
  func record(isRight: Bool) -> ByteSource {
    let sum = Checksum.crc32(Array(bytes[1000..<9000]))
    return .region(
      FileRegion(
        file: file, offset: 1000, byteCount: 8000, recordedCRC32: isRight ? sum : sum ^ 1,
        name: "data/0"))
  }

  /// All ways of reading a source or a part of it; each returns some of the bytes.
  static let uses: [(name: String, read: @Sendable (ByteSource) throws -> [UInt8])] = [
    ("all", { try $0.allBytes() }),
    ("range", { try $0.bytes(in: 10..<20) }),
    ("part", { try $0.part(10..<20).allBytes() }),
    ("part of a part", { try $0.part(5..<4000).part(5..<15).allBytes() }),
    ("rest", { try $0.part(10..<8000).bytes(in: 0..<10) }),
    ("into", { source in try [UInt8](byteCount: 10) { try source.read(into: &$0, at: 10) } }),
    (
      "reader",
      { source in
        let reader = try source.makeReader(at: 10)
        return try [UInt8](byteCount: 10) { try reader.read(into: &$0) }
      }
    ),
    (
      "skipping reader",
      { source in
        let reader = try source.part(0..<7000).makeReader(skippingTo: 10)
        return try [UInt8](byteCount: 10) { try reader.read(into: &$0) }
      }
    ),
    (
      "whole reader of a part",
      { source in
        let reader = try source.part(10..<8000).makeWholeReader()
        return try [UInt8](byteCount: 10) { try reader.read(into: &$0) }
      }
    ),
    (
      "joined",
      { source in
        let joined = try #require(JoinedBytes([source.part(10..<15), source.part(15..<20)]))
        return try ByteSource.computed(joined).allBytes()
      }
    ),
    (
      "blocks",
      { source in
        var all: [UInt8] = []
        try source.forEachBlock(of: 777) { block, _ in
          block.withUnsafeBytes { all += $0 }
        }
        return all
      }
    ),
    (
      "blocks of a part",
      { source in
        var all: [UInt8] = []
        try source.part(10..<20).forEachBlock(of: 3) { block, _ in
          block.withUnsafeBytes { all += $0 }
        }
        return all
      }
    ),
  ]

  @Test("No byte of a damaged record is returned, whatever part is read", arguments: uses.indices)
  func damaged(use: Int) throws {
    let (name, read) = Self.uses[use]
    let error = #expect(throws: ChecksumError.self, "\(name)") {
      try read(record(isRight: false))
    }
    #expect(error?.record == "data/0")
    let found = try read(record(isRight: true))
    let isWhole = found.count == 8000
    #expect(found == Array(bytes[isWhole ? 1000..<9000 : 1010..<1020]), "\(name)")
  }

  @Test("Bytes that nobody reads are not compared; nor is a part of no bytes")
  func unread() throws {
    let source = record(isRight: false)
    #expect(try source.part(7..<7).allBytes().isEmpty)
    #expect(try source.bytes(in: 9..<9).isEmpty)
    #expect(try source.unverifiedStart(10) == Array(bytes[1000..<1010]))
    #expect(file.bytesRead == 10)
  }

  @Test("A record is read once for its checksum, however many parts are used by any thread")
  func once() throws {
    let (source, bytes) = (record(isRight: true), bytes)
    try Parallel.forEach(of: Array(0..<100), workers: 4) { index in
      let part = source.part(index * 80..<index * 80 + 8)
      let start = 1000 + index * 80
      let read = try? part.allBytes()
      #expect(read == Array(bytes[start..<start + 8]))
    }
    #expect(file.bytesRead == 8000 + 800)
    // All bytes in order are compared while they are read.
    let other = record(isRight: true)
    let before = file.bytesRead
    _ = try other.allBytes()
    try other.forEachBlock(of: 100) { _, _ in }
    #expect(try other.bytes(in: 3..<5) == Array(bytes[1003..<1005]))
    #expect(file.bytesRead - before == 8000 + 8000 + 2)
  }

  @Test("A copied part of a damaged record is an error, in groups and alone", arguments: [1, 3])
  func copied(workers: Int) throws {
    func write(_ sources: [ByteSource], verifying: Bool = true) throws -> [UInt8] {
      var writer = StreamWriter()
      writer.workers = workers
      writer.verifies = verifying
      var (offset, segments) = (0, [StreamSegment]())
      for source in sources {
        segments.append(StreamSegment(offset: offset, source: source))
        offset += source.byteCount
      }
      let output = try AtomicOutput(path: folder.file("out"), replacingExisting: true)
      try writer.write(segments, to: output.file)
      try output.commit()
      return try contents(of: output.path)
    }
    let good = record(isRight: true)
    #expect(
      try write([good.part(5..<10), .bytes([1]), good])
        == Array(bytes[1005..<1010]) + [1] + bytes[1000..<9000])
    for parts in [[5..<10], [0..<7999, 1..<3]] {
      let damaged = record(isRight: false)
      #expect(throws: ChecksumError.self) {
        try write(parts.map { damaged.part($0) })
      }
      // Without verification, parts are taken as they are, as whole records.
      #expect(
        try write(parts.map { damaged.part($0) }, verifying: false)
          == parts.flatMap { bytes[1000 + $0.lowerBound..<1000 + $0.upperBound] })
    }
    // A large part is compared before it is written in several pieces.
    let large = [UInt8](repeating: 7, count: 600_000)
    let file = try File(readingFrom: folder.write(large, to: "large"))
    let region = ByteSource.region(
      FileRegion(file: file, offset: 0, byteCount: 600_000, recordedCRC32: 1, name: "large"))
    #expect(throws: ChecksumError.self) { try write([region.part(0..<500_000)]) }
    #expect(try write([region.part(0..<500_000)], verifying: false).count == 500_000)
  }
}
