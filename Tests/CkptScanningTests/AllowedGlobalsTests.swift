import CkptPlatform
import CkptScanning
import CkptTestSupport
import StateDictKit
import Testing

@Suite("Names that are allowed")
struct AllowedGlobalsTests {
  private func allowed(_ text: String) throws -> AllowedGlobals {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    return try AllowedGlobals(contentsOf: folder.write(Array(text.utf8), to: "allow.txt"))
  }

  @Test("A name with a reason is safe, and what matches nothing is told of")
  func allowing() throws {
    var report = try ScanReport(Fixtures.path("scan/unknown.pt"))
    #expect(report.verdict == .unknown)
    let entries = try allowed(
      """
      # Ours.
      my_project.config.Config  # a class of ours, which only holds numbers

      my_project.config.Other # not there
      """)
    #expect(report.allow(entries).map(\.name) == ["my_project.config.Other"])
    #expect(report.verdict == .safe)
    let reasons = report.files[0].globals.compactMap(\.reason)
    #expect(reasons == ["allowed: a class of ours, which only holds numbers"])
  }

  @Test("Only the named one is allowed")
  func others() throws {
    var report = try ScanReport(Fixtures.path("scan/hidden.pt"))
    #expect(try report.allow(allowed("posix.popen # no\n")).count == 1)
    #expect(report.verdict == .dangerous)
  }

  @Test(
    "A line without a reason, or without a name, is an error",
    arguments: ["a.b", "a.b #", "a.b # x\na.b # y", "name # why", "a.b c # why"])
  func lines(text: String) {
    #expect(throws: AllowedGlobalsError.self) { try allowed(text) }
  }
}
