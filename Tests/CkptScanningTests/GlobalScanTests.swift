import CkptIO
import CkptScanning
import Foundation
import CkptPlatform
import StateDictKit
import CkptTestSupport
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

  @Test(
    "Every name is found and rated, however it is written or hidden",
    arguments: try Fixtures.decode([Case].self, from: "scan/scan.json"))
  func scan(example: Case) throws {
    let scan = try GlobalScan(Fixtures.path("scan/" + example.file))
    #expect(scan.verdict.rawValue == example.verdict)
    #expect(scan.problems.isEmpty != example.problem)
    let found = Set(scan.globals.map { "\($0.rating) \($0.module) \($0.name)" })
    #expect(found == Set(example.globals.map { "\($0.rating) \($0.module) \($0.name)" }))
    #expect(scan.globals.count == found.count)
  }

  @Test("Nothing that PyTorch writes of its own is dangerous", arguments: Fixtures.checkpoints)
  func fixtures(name: String) throws {
    let scan = try GlobalScan(Fixtures.path(name + ".pt"))
    #expect(scan.verdict < .dangerous, "\(scan.globals)")
    #expect(scan.problems.isEmpty)
  }

  @Test("A call is told from a mention")
  func calls() throws {
    let scan = try GlobalScan(Fixtures.path("python_objects.pt"))
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
    for name in ["scan/dropped.pt", "scan/legacy.pt", "protocol_5.pt", "scan/inst.pt"] {
      let bytes = try contents(of: Fixtures.path(name))
      for _ in 0..<200 {
        var changed = bytes
        for _ in 0...Int.random(in: 0...3, using: &random) {
          changed[Int.random(in: 0..<min(bytes.count, 2000), using: &random)] = UInt8(
            truncatingIfNeeded: random.next())
        }
        do {
          _ = try GlobalScan(folder.write(changed, to: "x.pt"))
        } catch is any Diagnostic {}
      }
    }
  }

  @Test("What is no pickle is no safe pickle")
  func others() throws {
    let folder = try TemporaryFolder()
    for bytes in [[], Array("# weights\n".utf8), Array("PK".utf8)] as [[UInt8]] {
      #expect(throws: (any Error).self) { try GlobalScan(folder.write(bytes, to: "x")) }
    }
  }

  @Test("Of a folder every file is scanned, and those of the folders in it; of an index its shards")
  func folders() throws {
    let folder = try TemporaryFolder()
    let inner = URL(filePath: folder.file("step"))
    try FileManager.default.createDirectory(at: inner, withIntermediateDirectories: false)
    func copy(_ name: String, to other: String) throws {
      _ = try folder.write(contents(of: Fixtures.path(name)), to: other)
    }
    try copy("training.pt", to: "a.pt")
    _ = try folder.write(Array("{}".utf8), to: "config.json")
    #expect(try GlobalScan(folder.path).verdict == .safe)
    try copy("scan/bare.pkl", to: "step/.metadata")
    let scan = try GlobalScan(folder.path)
    #expect(scan.verdict == .dangerous && scan.problems.isEmpty)
    #expect(scan.globals.first?.pickle == "step/.metadata: pickle 0 at byte 0")
    try copy("bad/half.pt", to: "half.pt")
    #expect(try GlobalScan(folder.path).problems.map(\.pickle) == ["half.pt"])
  }
}
