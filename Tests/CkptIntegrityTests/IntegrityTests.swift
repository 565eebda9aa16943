import CkptIO
import CkptIntegrity
import CkptBytes
import CkptPlatform
import StateDictKit
import CkptTestSupport
import Testing
import CkptZip

@Suite("Whether a file is whole")
struct IntegrityTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  @Test("What PyTorch wrote is intact", arguments: Fixtures.checkpoints)
  func fixtures(name: String) throws {
    let path = Fixtures.path(name + ".pt")
    let report = try IntegrityReport(path)
    #expect(report.isIntact, "\(report.problems)")
    guard let format = report.format, [.pytorchZip, .torchScript].contains(format) else { return }
    let entries = try ZipReader(path: path).entries
    #expect(report.recordCount == entries.count)
    #expect(report.byteCount == entries.reduce(0) { $0 + $1.byteCount })
    #expect(report.unrecorded.isEmpty == (name != "no_crc"))
  }

  @Test("Every damaged record is named, with a tensor that is in it")
  func records() throws {
    let source = Fixtures.path("many_keys.pt")
    var bytes = try contents(of: source)
    let reader = try ZipReader(path: source)
    let damaged = [7, 200].compactMap { number in
      reader.entries.first { $0.name == "many_keys/data/\(number)" }
    }
    for entry in damaged { bytes[try reader.dataOffset(of: entry)] ^= 0x40 }
    let report = try IntegrityReport(folder.write(bytes, to: "x.pt"))
    #expect(report.problems.map(\.record) == damaged.map(\.name))
    #expect(report.problems.map(\.key) == ["layers.7.weight", "layers.200.weight"])
    #expect(!report.isIntact && report.tensorCount == 301)
  }

  @Test("A large record is checked in parts, by any number of threads")
  func large() throws {
    var random = SeededRandom(1)
    var block = random.bytes(1 << 16)
    block = Array([[UInt8]](repeating: block, count: 40 << 4).joined())
    var stateDict = StateDict()
    stateDict["w"] = try Tensor(
      storage: Storage(bytes: block), dtype: .uint8, shape: [block.count])
    try Checkpoint(stateDict).write(to: folder.file("a.pt"))
    #expect(try IntegrityReport(folder.file("a.pt")).isIntact)
    let reader = try ZipReader(path: folder.file("a.pt"))
    for workers in [1, 2, 5] {
      #expect(try reader.checkRecords(workers: workers).allSatisfy { $0.problem == nil })
    }
    let entry = try #require(reader.entry(named: "a/data/0"))
    var bytes = try contents(of: folder.file("a.pt"))
    bytes[try reader.dataOffset(of: entry) + block.count - 1] ^= 1
    let report = try IntegrityReport(folder.write(bytes, to: "b.pt"))
    #expect(report.problems.map(\.key) == ["w"])
  }

  @Test("What is cut off is damaged; what is no checkpoint is an error")
  func others() throws {
    let whole = try contents(of: Fixtures.path("training.pt"))
    let cut = try folder.write(Array(whole.prefix(whole.count / 2)), to: "cut.pt")
    #expect(try !IntegrityReport(cut).isIntact)
    #expect(throws: (any Error).self) { try IntegrityReport(Fixtures.path("bad/text.pt")) }
    #expect(throws: FileError.self) { try IntegrityReport(folder.file("none.pt")) }
    for name in ["offset", "stride", "storage_count", "pickle_stack", "checksum", "two_names"] {
      let report = try IntegrityReport(Fixtures.path("bad/\(name).pt"))
      #expect(report.problems.count == 1, "\(name): \(report.problems)")
    }
  }
}
