import Foundation
import CkptBytes
import CkptPlatform
import CkptTestSupport
import Testing

@testable import CkptZip

@Suite("Hostile archives")
struct HostileArchiveTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func readAll(_ bytes: [UInt8]) throws {
    let reader = try ZipReader(path: folder.write(bytes, to: "x"))
    for entry in reader.entries { _ = try reader.read(entry, limit: 1 << 20) }
  }

  @Test("An archive cut off anywhere is an error", arguments: ["one_tensor.pt", "deflated.pt"])
  func truncated(fixture: String) throws {
    let bytes = try contents(of: Fixtures.path(fixture))
    for length in stride(from: 0, to: bytes.count, by: max(1, bytes.count / 250)) {
      let error = #expect(throws: (any Error).self) { try readAll(Array(bytes[..<length])) }
      #expect(error is any Diagnostic)
    }
  }

  @Test("Bytes changed anywhere are an error or change nothing that is read, never a crash")
  func damaged() throws {
    for fixture in ["one_tensor.pt", "deflated.pt", "no_crc.pt"] {
      let bytes = try contents(of: Fixtures.path(fixture))
      var random = SeededRandom(3)
      for _ in 0..<1500 {
        var changed = bytes
        // The end, where the directory is, gets its share.
        let low = random.next() % 2 == 0 ? 0 : max(0, bytes.count - 600)
        let index = Int.random(in: low..<bytes.count, using: &random)
        changed[index] = UInt8(truncatingIfNeeded: random.next())
        do { try readAll(changed) } catch is any Diagnostic {}
      }
    }
  }

  @Test(
    "A name that occurs twice, differs in the header, or leaves the folder, is refused",
    arguments: [
      "twice.pt", "two_names.pt", "dot_dot.pt", "absolute.pt", "case_twins.pt", "patch_flag.pt",
    ])
  func names(fixture: String) {
    #expect(throws: ZipError.self) {
      let reader = try ZipReader(path: Fixtures.path("bad/\(fixture)"))
      for entry in reader.entries { _ = try reader.source(of: entry) }
    }
  }

  @Test("A deflated record that claims more than its bytes can hold is refused")
  func bomb() throws {
    let reader = try ZipReader(path: Fixtures.path("bad/bomb.pt"))
    let error = #expect(throws: ZipError.self) {
      for entry in reader.entries { _ = try reader.source(of: entry).allBytes() }
    }
    #expect(error != nil)
  }

  @Test("A record larger than the limit is not taken into memory")
  func limit() throws {
    let reader = try ZipReader(path: Fixtures.path("one_tensor.pt"))
    let entry = try #require(reader.entries.first { $0.byteCount > 10 })
    #expect(
      message(of: ZipError.self) { try reader.read(entry, limit: 10) }
        == "it has 154 bytes; at most 10 are supported (\(Fixtures.path("one_tensor.pt")), record \"one_tensor/data.pkl\")"
    )
    #expect(
      message(of: ZipError.self) { try reader.read(named: "no/such", limit: 10) }
        == "the record is missing (\(Fixtures.path("one_tensor.pt")), record \"no/such\")")
  }
}
