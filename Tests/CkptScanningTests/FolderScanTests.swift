import CkptPlatform
import CkptScanning
import CkptTestSupport
import Foundation
import StateDictKit
import Testing

@Suite("Files of a folder")
struct FolderScanTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func copy(_ name: String, to other: String) throws {
    let target = folder.file(other)
    try FileManager.default.createDirectory(
      at: URL(filePath: target).deletingLastPathComponent(), withIntermediateDirectories: true)
    _ = try folder.write(contents(of: Fixtures.path(name)), to: other)
  }

  private func verdicts() throws -> [String: GlobalRating] {
    let files = try ScanReport(folder.path).files.map {
      (String($0.file.dropFirst(folder.path.count + 1)), $0.verdict)
    }
    return Dictionary(uniqueKeysWithValues: files)
  }

  @Test("Every file at any depth is told of, also what is not scanned")
  func depths() throws {
    try copy("training.pt", to: "a.pt")
    _ = try folder.write(Array("{}".utf8), to: "config.json")
    #expect(try verdicts() == ["a.pt": .safe, "config.json": .safe])
    try copy("scan/bare.pkl", to: "step/.metadata")
    try copy("scan/bare.pkl", to: "a/b/c/d/e/x.bin")
    try copy("bad/half.pt", to: "half.pt")
    let found = try verdicts()
    #expect(found["step/.metadata"] == .dangerous)
    #expect(found["a/b/c/d/e/x.bin"] == .dangerous)
    #expect(found["half.pt"] == .unknown)
    #expect(found.count == 5)
    let report = try ScanReport(folder.path)
    #expect(report.verdict == .dangerous)
    // Each file names what it names, whatever others do.
    #expect(report.files.count { $0.globals.contains { $0.name == "system" } } == 2)
  }

  @Test("A link that leaves the folder, or to a file that is there, is told of")
  func links() throws {
    try copy("training.pt", to: "a.pt")
    let outside = try TemporaryFolder()
    let secret = try outside.write(contents(of: Fixtures.path("scan/bare.pkl")), to: "x")
    try FileManager.default.createSymbolicLink(
      atPath: folder.file("out"), withDestinationPath: secret)
    try FileManager.default.createSymbolicLink(
      atPath: folder.file("b.pt"), withDestinationPath: "a.pt")
    try FileManager.default.createSymbolicLink(
      atPath: folder.file("loop"), withDestinationPath: ".")
    let report = try ScanReport(folder.path)
    let why = report.files.map { $0.skipped.first?.why ?? "" }
    #expect(why.contains { $0.contains("leaves its folder") })
    #expect(why.contains { $0.contains("the same file as") })
    #expect(report.files.count == 4)
    #expect(report.verdict == .unknown)
  }

  @Test("Of an index its shards are scanned")
  func shards() throws {
    try copy("scan/system_2.pt", to: "m-00001-of-00002.bin")
    try copy("training.pt", to: "m-00002-of-00002.bin")
    let index = """
      {"weight_map": {"a": "m-00001-of-00002.bin", "b": "m-00002-of-00002.bin"}}
      """
    let path = try folder.write(Array(index.utf8), to: "m.bin.index.json")
    #expect(try ScanReport(path).files.map(\.verdict) == [.dangerous, .safe])
  }
}
