import CkptIO
import CkptIntegrity
import CkptPlatform
import CkptTestSupport
import CkptZip
import Foundation
import Testing

@Suite("Whether a distributed checkpoint is whole")
struct DistributedVerificationTests {
  let folder: TemporaryFolder
  let path: String

  init() throws {
    folder = try TemporaryFolder()
    path = folder.file("saved")
    try FileManager.default.copyItem(
      atPath: Fixtures.path("formats_more/distributed_sharded"), toPath: path)
  }

  private var files: [String] {
    get throws { try Folder(path).names.filter { $0.hasSuffix(".distcp") } }
  }

  @Test("What PyTorch wrote, from several processes, is intact")
  func intact() throws {
    let report = try IntegrityReport(path)
    #expect(report.isIntact, "\(report.problems)")
    #expect(report.format == .distributed && report.unusedFiles.isEmpty)
    let layout = try DistributedLayout(Folder(path))
    #expect(layout.archives.count > 3)
    // Every byte of every file belongs to an archive.
    let sizes = try files.reduce(0) { $0 + (Folder.byteCount(ofFileAt: path + "/" + $1) ?? 0) }
    #expect(layout.archives.reduce(0) { $0 + $1.range.count } == sizes)
  }

  @Test("A flipped byte in any record of any archive is found, and the key is named")
  func records() throws {
    for archive in try DistributedLayout(Folder(path)).archives {
      let file = try File(readingFrom: path + "/" + archive.file)
      let whole = try contents(of: file.path)
      let reader = try ZipReader(file, in: archive.range)
      // Positions are found before the file is changed, which its readers notice.
      let records = try reader.entries.filter { $0.byteCount > 0 }.map { entry in
        let start = try reader.dataOffset(of: entry)
        return (name: entry.name, positions: Set([start, start + entry.byteCount - 1]))
      }
      for record in records {
        for position in record.positions {
          var bytes = whole
          bytes[position] ^= 4
          try Data(bytes).write(to: URL(fileURLWithPath: file.path))
          let report = try IntegrityReport(path)
          #expect(
            Set(report.problems.map(\.key)) == [archive.key],
            "\(archive.name), \(record.name): \(report.problems)")
          #expect(report.problems.contains { $0.record?.hasPrefix(record.name) == true })
        }
      }
      try Data(whole).write(to: URL(fileURLWithPath: file.path))
    }
  }

  @Test("What is cut off, added, or missing is found; files of an older save are no damage")
  func changedFiles() throws {
    let name = try #require(try files.first)
    let file = path + "/" + name
    let whole = try contents(of: file)
    for count in [0, 1, whole.count / 2, whole.count - 1] {
      try Data(whole.prefix(count)).write(to: URL(fileURLWithPath: file))
      let report = try IntegrityReport(path)
      #expect(!report.isIntact && report.problems.contains { $0.key != nil })
    }
    try Data(whole + [0]).write(to: URL(fileURLWithPath: file))
    #expect(try IntegrityReport(path).problems.count == 1)
    try Data(whole).write(to: URL(fileURLWithPath: path + "/__99_0.distcp"))
    try Data(whole).write(to: URL(fileURLWithPath: file))
    let report = try IntegrityReport(path)
    #expect(report.isIntact && report.unusedFiles == ["__99_0.distcp"])
    try FileManager.default.removeItem(atPath: file)
    let missing = try DistributedLayout(Folder(path)).archives.filter { $0.file == name }
    let problems = try IntegrityReport(path).problems
    #expect(Set(missing.map(\.key)).isSubset(of: Set(problems.compactMap(\.key))))
  }
}
