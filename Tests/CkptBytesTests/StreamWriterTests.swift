import CkptPlatform
import Synchronization
import CkptTestSupport
import Testing

@testable import CkptBytes

@Suite("Segments, streamed into a file")
struct StreamWriterTests {
  let folder: TemporaryFolder
  let source: File
  let bytes: [UInt8]

  init() throws {
    folder = try TemporaryFolder()
    var random = SeededRandom(3)
    // A prime, so that no two blocks are equal. (Copied whole: byte by byte a debug build takes seconds.)
    let pattern = random.bytes(65_521)
    var bytes: [UInt8] = []
    while bytes.count < 6_000_000 { bytes += pattern }
    bytes.removeLast(bytes.count - 6_000_000)
    self.bytes = bytes
    source = try File(readingFrom: folder.write(bytes, to: "source"))
  }

  func region(_ range: Range<Int>, recorded: UInt32? = nil) -> ByteSource {
    .region(
      FileRegion(
        file: source, offset: range.lowerBound, byteCount: range.count, recordedCRC32: recorded,
        name: "data/\(range.lowerBound)"))
  }

  /// Writes the segments and gives the file's bytes, the file and the checksums.
  func write(
    _ segments: [StreamSegment], with writer: StreamWriter = StreamWriter()
  ) throws -> (bytes: [UInt8], file: File, sums: [UInt32]) {
    let output = try AtomicOutput(path: folder.file("out"), replacingExisting: true)
    let sums = try writer.write(segments, to: output.file)
    try output.commit()
    return (try contents(of: output.path), output.file, sums)
  }

  /// Segments one behind the other.
  func row(_ sources: [ByteSource]) -> [StreamSegment] {
    var offset = 0
    return sources.map { source in
      defer { offset += source.byteCount }
      return StreamSegment(offset: offset, source: source)
    }
  }

  @Test("Every byte is read once and written once", arguments: [1, 2, 3])
  func traffic(workers: Int) throws {
    var writer = StreamWriter()
    writer.workers = workers
    let ranges = [
      0..<5_000_001, 5_000_001..<5_000_005, 5_100_000..<5_100_000, 5_200_000..<6_000_000,
    ]
    let written = try write(row(ranges.map { region($0) }), with: writer)
    #expect(written.bytes == ranges.flatMap { bytes[$0] })
    #expect(written.sums == ranges.map { Checksum.crc32(Array(bytes[$0])) })
    #expect(source.bytesRead == written.bytes.count)
    #expect(written.file.bytesWritten == written.bytes.count)
  }

  @Test("Small neighbors that lie close together are read at once, with the gaps between them")
  func neighbors() throws {
    let ranges = (0..<100).map { $0 * 1100..<$0 * 1100 + 1000 }
    let written = try write(row(ranges.map { region($0) }))
    #expect(written.bytes == ranges.flatMap { bytes[$0] })
    #expect(source.bytesRead == 99 * 1100 + 1000)
    #expect(written.file.bytesWritten == 100_000)
    // Far apart, each is read alone.
    let before = source.bytesRead
    let far = (0..<20).map { $0 * 200_000..<$0 * 200_000 + 10 }
    #expect(try write(row(far.map { region($0) })).bytes == far.flatMap { bytes[$0] })
    #expect(source.bytesRead - before == 200)
  }

  @Test("Without verification recorded checksums are taken over and the bytes are the same")
  func unverified() throws {
    var writer = StreamWriter()
    writer.verifies = false
    let written = try write(
      row([region(100..<3_000_100, recorded: 77), region(5..<2_000_005)]), with: writer)
    #expect(written.bytes == Array(bytes[100..<3_000_100] + bytes[5..<2_000_005]))
    #expect(written.sums == [77, Checksum.crc32(Array(bytes[5..<2_000_005]))])
  }

  @Test("Damage is an error that names the first damaged record, however many threads look")
  func damage() throws {
    let damaged = row((0..<5).map { region($0 * 1_000_000..<($0 + 1) * 1_000_000, recorded: 1) })
    for workers in 1...3 {
      var writer = StreamWriter()
      writer.workers = workers
      let error = #expect(throws: ChecksumError.self) { try write(damaged, with: writer) }
      #expect(error?.record == "data/0")
    }
    let small = row([region(0..<10), region(20..<30, recorded: 1)])
    #expect(throws: ChecksumError.self) { try write(small) }
  }

  /// Counts what it is asked for.
  final class Recorder: ComputedBytes {
    let byteCount: Int
    let isRandomAccess = true
    let needsPreparation = true
    let prepared = Mutex(0)
    let log: Log
    let name: String

    final class Log: Sendable {
      let lines = Mutex<[String]>([])
      let open = Mutex((now: 0, most: 0))
    }

    init(_ name: String, byteCount: Int, log: Log) {
      (self.name, self.byteCount, self.log) = (name, byteCount, log)
    }

    func prepare() throws {
      prepared.withLock { count in
        if count == 0 { log.lines.withLock { $0.append("prepare \(name)") } }
        count += 1
      }
    }

    func makeReader(at offset: Int) throws -> any ByteReader {
      try prepare()
      return Reader(self)
    }

    final class Reader: ByteReader {
      let owner: Recorder
      init(_ owner: Recorder) {
        self.owner = owner
        owner.log.open.withLock { $0 = ($0.now + 1, max($0.most, $0.now + 1)) }
      }
      deinit { owner.log.open.withLock { $0.now -= 1 } }
      func read(into bytes: inout MutableRawSpan) throws {
        #expect(bytes.byteCount <= StreamWriter.blockSize)
        bytes.fill(with: 9)
      }
    }
  }

  @Test("As many blocks are in flight as there are threads", arguments: [1, 2, 4])
  func blocksInFlight(workers: Int) throws {
    let log = Recorder.Log()
    var writer = StreamWriter()
    writer.workers = workers
    let all = (0..<6).map { Recorder("\($0)", byteCount: 300_000, log: log) }
    let written = try write(row(all.map { .computed($0) }), with: writer)
    #expect(written.bytes == [UInt8](repeating: 9, count: 1_800_000))
    #expect(log.open.withLock { $0.most } <= workers)
  }

  @Test("A computed segment is prepared before the one in front of it is written")
  func preparation() throws {
    let log = Recorder.Log()
    let all = (0..<3).map { Recorder("\($0)", byteCount: 1 << 20, log: log) }
    #expect(
      StreamWriter.jobs(for: row(all.map { .computed($0) })) == [
        .prepare(0), .prepare(1), .part(segment: 0, 0..<1 << 20), .prepare(2),
        .part(segment: 1, 0..<1 << 20), .part(segment: 2, 0..<1 << 20),
      ])
    _ = try write(row(all.map { .computed($0) }))
    #expect(Set(log.lines.withLock { $0 }) == ["prepare 0", "prepare 1", "prepare 2"])
  }

  @Test("A source that fails ends the writing with its own error")
  func failure() {
    struct Failing: ComputedBytes {
      let byteCount = 1 << 20
      let isRandomAccess = true
      func makeReader(at offset: Int) throws -> any ByteReader {
        throw FileError(.inputOutput, "no", path: "nowhere")
      }
    }
    #expect(
      message(of: FileError.self) { try write(row([.computed(Failing())])) }
        == "no (nowhere)")
    let short = ByteSource.region(
      FileRegion(file: source, offset: 5_999_000, byteCount: 900_000, name: "short"))
    #expect(throws: FileError.self) { try write(row([short])) }
  }

  @Test("Work that was cancelled ends within a block")
  func cancelled() throws {
    let cancellation = Cancellation()
    var writer = StreamWriter(cancellation: cancellation)
    writer.workers = 1
    writer.progress = { _ in cancellation.cancel() }
    let output = try AtomicOutput(path: folder.file("c"), replacingExisting: false)
    #expect(
      message(of: CancelledError.self) {
        try writer.write(row([region(0..<6_000_000)]), to: output.file)
      }
        == "interrupted; nothing was written")
    #expect(output.file.bytesWritten == StreamWriter.blockSize)
  }
}
