import CkptIO
import CkptBytes
import CkptPlatform
import StateDictKit
import CkptTestSupport
import Testing
import CkptZip

@Suite("Checkpoints are made compact")
struct CompactingTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  @Test("Every fixture holds the same afterwards", arguments: Fixtures.described)
  func fixtures(name: String) throws {
    var checkpoint = try Checkpoint(contentsOf: Fixtures.path(name + ".pt"))
    guard checkpoint.format != .torchScript else {
      #expect(
        message(of: CheckpointError.self) { try checkpoint.compact() }
          == "a TorchScript archive cannot be written, since its code belongs to its weights (\(Fixtures.path("torchscript.pt")))"
      )
      return
    }
    let report = try checkpoint.compact()
    try checkpoint.write(to: folder.file("out.pt"))
    let (before, after) = (
      try Checkpoint(contentsOf: Fixtures.path(name + ".pt")),
      try Checkpoint(contentsOf: folder.file("out.pt"))
    )
    let lines = { (checkpoint: Checkpoint) in
      try checkpoint.objectTree(depth: 20).map { "\($0.path) \($0.summary) \($0.sameAs ?? "")" }
    }
    // A bare storage's summary tells its size, and it stays whole.
    #expect(try lines(after) == lines(before))
    if let at = try? before.stateDictPath() {
      let (old, new) = (try before.stateDict(at: at), try after.stateDict(at: at))
      #expect(try StateDictDigest(new).digest == StateDictDigest(old).digest)
      #expect(new.totalByteCount <= old.totalByteCount)
    }
    var again = after
    #expect(try again.compact().saved == 0, "\(report)")
  }

  @Test("A saved slice no longer drags its storage along, and what overlaps stays shared")
  func views() throws {
    var checkpoint = try Checkpoint(contentsOf: Fixtures.path("views.pt"))
    // Only the view is kept, as people do who save a slice.
    let kept = try checkpoint.stateDict(at: "/").filter { key, _ in key == "offset" }
    try checkpoint.replaceStateDict(at: "/", with: kept)
    let report = try checkpoint.compact()
    #expect(report.before == 96 && report.after == 24 && report.saved == 72)
    #expect(report.shrunk.map(\.path) == ["offset"])
    try checkpoint.write(to: folder.file("slice.pt"))
    let slice = try #require(
      try Checkpoint(contentsOf: folder.file("slice.pt")).stateDict()["offset"])
    #expect(slice.storage.byteCount == 24 && slice.strides == [3, 1] && slice.offset == 0)
    checkpoint = try Checkpoint(contentsOf: Fixtures.path("views.pt"))
    try checkpoint.compact()
    try checkpoint.write(to: folder.file("all.pt"))
    let ties = try Checkpoint(contentsOf: folder.file("all.pt")).stateDict().ties
    #expect(ties == (try Checkpoint(contentsOf: Fixtures.path("views.pt")).stateDict().ties))
  }

  @Test("Damage in what is left out is found, too")
  func damage() throws {
    let source = Fixtures.path("views.pt")
    var bytes = try contents(of: source)
    let reader = try ZipReader(path: source)
    let record = try #require(reader.entry(named: "views/data/0"))
    bytes[try reader.dataOffset(of: record)] ^= 1
    var checkpoint = try Checkpoint(contentsOf: folder.write(bytes, to: "views.pt"))
    let kept = try checkpoint.stateDict(at: "/").filter { key, _ in key == "offset" }
    try checkpoint.replaceStateDict(at: "/", with: kept)
    #expect(try checkpoint.compact().saved == 72)
    let error = #expect(throws: (any Error).self) { try checkpoint.write(to: folder.file("x.pt")) }
    #expect((error as? any Diagnostic)?.description.contains("damaged") == true)
    #expect(try folder.names() == ["views.pt"])
  }
}
