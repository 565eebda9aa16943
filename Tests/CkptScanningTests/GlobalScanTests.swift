import CkptIO
import CkptPlatform
import CkptScanning
import CkptTestSupport
import Foundation
import StateDictKit
import Testing

@Suite("What pickles name")
struct GlobalScanTests {
  struct Case: Decodable, CustomTestStringConvertible {
    struct Global: Decodable {
      let module, name, rating: String
    }
    let file, verdict: String
    let globals: [Global]
    let problem: Bool
    var testDescription: String { file }
  }

  /// What was found in one file.
  private func scan(_ path: String) throws -> FileScan {
    let files = try ScanReport(path).files
    return try #require(files.count == 1 ? files.first : nil)
  }

  @Test(
    "Every name is found and rated, however it is written or hidden",
    arguments: try Fixtures.decode([Case].self, from: "scan/scan.json"))
  func scan(example: Case) throws {
    let scan = try scan(Fixtures.path("scan/" + example.file))
    #expect(scan.verdict.rawValue == example.verdict)
    #expect(scan.isDamaged == example.problem)
    let found = Set(scan.globals.map { "\($0.rating) \($0.module) \($0.name)" })
    #expect(found == Set(example.globals.map { "\($0.rating) \($0.module) \($0.name)" }))
    #expect(scan.globals.count == found.count)
  }

  @Test("Nothing that PyTorch writes of its own is dangerous", arguments: Fixtures.checkpoints)
  func fixtures(name: String) throws {
    let scan = try scan(Fixtures.path(name + ".pt"))
    #expect(scan.verdict < .dangerous, "\(scan.globals)")
    #expect(scan.findings.isEmpty, "\(scan.findings)")
    #expect(scan.pickleCount > 0)
  }

  @Test("A call is told from a mention")
  func calls() throws {
    let scan = try scan(Fixtures.path("python_objects.pt"))
    let called = Dictionary(uniqueKeysWithValues: scan.globals.map { ($0.name, $0.isCalled) })
    #expect(called["Namespace"] == true)
    #expect(called["dtype"] == true)
    #expect(called["float16"] == false)
    // A function of torch is pickled as getattr(torch._C._VariableFunctionsClass, 'relu').
    #expect(called["_VariableFunctionsClass.relu"] == false)
    #expect(called["getattr"] == nil)
  }

  @Test("Bytes changed anywhere lead to a report or an error, never a crash")
  func damaged() throws {
    let folder = try TemporaryFolder()
    var random = SeededRandom(5)
    let names = [
      "scan/dropped.pt", "scan/legacy.pt", "protocol_5.pt", "scan/inst.pt", "legacy_tar.pt",
      "torchscript.pt", "deflated.pt",
    ]
    for name in names {
      let bytes = try contents(of: Fixtures.path(name))
      for _ in 0..<200 {
        var changed = bytes
        for _ in 0...Int.random(in: 0...3, using: &random) {
          changed[Int.random(in: 0..<min(bytes.count, 2000), using: &random)] = UInt8(
            truncatingIfNeeded: random.next())
        }
        // The directory of an archive is at its end.
        if Bool.random(using: &random) {
          let place = bytes.count - Int.random(in: 1...min(bytes.count, 300), using: &random)
          changed[place] = UInt8(truncatingIfNeeded: random.next())
        }
        do {
          _ = try ScanReport(folder.write(changed, to: "x.pt"))
        } catch is any Diagnostic {}
      }
    }
  }

  @Test("What is no pickle is no safe pickle")
  func others() throws {
    let folder = try TemporaryFolder()
    for bytes in [[], Array("# weights\n".utf8)] as [[UInt8]] {
      #expect(throws: (any Error).self) { try ScanReport(folder.write(bytes, to: "x")) }
    }
    let unknown = try ScanReport(folder.write(Array("PK, and 7 more".utf8) + [1, 2], to: "x"))
    #expect(unknown.verdict == .unknown)
  }
}

@Suite("What is known to fool scanners")
struct TrickTests {
  struct Case: Decodable, CustomTestStringConvertible {
    let file, verdict: String
    var testDescription: String { file }
  }

  @Test(
    "A file that acts, or that holds one, is found out",
    arguments: try Fixtures.decode([Case].self, from: "scan/tricks.json"))
  func tricks(example: Case) throws {
    let report = try ScanReport(Fixtures.path("scan/tricks/" + example.file))
    #expect(report.verdict.rawValue == example.verdict, "\(report.files)")
  }

  @Test("Files cut off anywhere are a report or an error, and never called safe")
  func truncated() throws {
    let folder = try TemporaryFolder()
    for name in ["in_zip", "in_old_tar", "in_npy", "form_reduce", "in_legacy"] {
      let bytes = try contents(of: Fixtures.path("scan/tricks/" + name))
      for length in stride(from: 1, to: bytes.count, by: max(1, bytes.count / 100)) {
        do {
          let report = try ScanReport(folder.write(Array(bytes[..<length]), to: "x"))
          // A tar archive may end anywhere behind its first member; and where a pickle of a number
          // ends, what is left is that number.
          let isWhole =
            name == "in_old_tar" || name == "in_legacy" && [15, 21, 27].contains(length)
          #expect(report.verdict > .safe || isWhole, "\(name) \(length)")
        } catch is any Diagnostic {}
      }
    }
  }
}
