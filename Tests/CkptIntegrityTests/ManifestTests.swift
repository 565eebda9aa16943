import CkptIntegrity
import CkptPlatform
import CkptTestSupport
import Foundation
import StateDictKit
import Testing

/// Manifests; `make interop` compares them with those of model-signing.
@Suite("Files are compared with recorded digests")
struct ManifestTests {
  let folder: TemporaryFolder
  let model: String

  init() throws {
    folder = try TemporaryFolder()
    model = folder.file("model")
    try FileManager.default.createDirectory(
      atPath: model + "/sub", withIntermediateDirectories: true)
    try Checkpoint(contentsOf: Fixtures.path("training.pt")).write(to: model + "/sub/training.pt")
    try write("text", to: "config.json")
    try write("", to: "empty")
  }

  private func write(_ text: String, to name: String) throws {
    try Data(text.utf8).write(to: URL(fileURLWithPath: model + "/" + name))
  }

  /// Writes the manifest as text and reads it again.
  private func manifest(_ paths: [String]) throws -> ModelManifest {
    let (made, unread) = try ModelManifest.make(of: paths)
    #expect(unread.isEmpty)
    return try ModelManifest(
      reading: File(readingFrom: folder.write(made.text(), to: "manifest.json")))
  }

  private func report(_ manifest: ModelManifest, _ path: String? = nil) throws -> ManifestReport {
    try ManifestReport(
      of: path ?? model, against: manifest, readFrom: folder.file("manifest.json"))
  }

  @Test("Changed, missing and additional files are told apart")
  func files() throws {
    let made = try manifest([model])
    #expect(made.resources.map(\.file) == ["config.json", "empty", "sub/training.pt"])
    #expect(try report(made).isIntact)
    try write("other", to: "config.json")
    try write("new", to: "sub/new")
    try FileManager.default.removeItem(atPath: model + "/empty")
    let found = try report(made)
    #expect(found.changed.map(\.file) == ["config.json"])
    #expect(found.changed.map(\.tensors) == [.unrecorded])
    #expect(found.missing == ["empty"] && found.added == ["sub/new"])
    // Of listed files, others in the folder are no concern.
    let some = try manifest([model + "/config.json", model + "/sub/training.pt"])
    #expect(some.resources.map(\.file) == ["config.json", "sub/training.pt"])
    #expect(try report(some).isIntact)
  }

  @Test("A file that was written anew is told from one with other tensors")
  func tensors() throws {
    let made = try manifest([model])
    let path = model + "/sub/training.pt"
    #expect(try #require(made.contents.first).digests.count > 3)
    // Bytes behind the archive are no part of it.
    try Data(contents(of: path) + [0]).write(to: URL(fileURLWithPath: path))
    #expect(try report(made).changed.map(\.tensors) == [.same])
    var checkpoint = try Checkpoint(contentsOf: Fixtures.path("training.pt"))
    let at = try checkpoint.stateDictPath()
    var stateDict = try checkpoint.stateDict(at: at)
    let key = try #require(stateDict.keys.first)
    stateDict[key] = try Tensor([1, 2] as [Float], shape: [2])
    try checkpoint.replaceStateDict(at: at, with: stateDict)
    try checkpoint.write(to: path, replacingExisting: true)
    let different = try #require(try report(made).changed.first).tensors
    guard case .different(let changed, _, _) = different else {
      Issue.record("the tensors do not differ: \(different)")
      return
    }
    #expect(changed.contains { $0.hasSuffix(key) })
    try write("no checkpoint", to: "sub/training.pt")
    let unreadable = try #require(try report(made).changed.first).tensors
    if case .unreadable = unreadable {} else { Issue.record("\(unreadable)") }
    // The file alone, moved elsewhere.
    let moved = folder.file("training.pt")
    try Checkpoint(contentsOf: Fixtures.path("training.pt")).write(to: moved)
    #expect(try report(made, moved).isIntact)
    #expect(throws: ManifestError.self) { try report(made, folder.write([1], to: "unlisted")) }
  }

  @Test(
    "What is no manifest is refused",
    arguments: [
      "", "{}", "[]", #"{"_type": "x", "_type": "x"}"#, #"{"payload": "?"}"#,
      #"{"_type": "https://in-toto.io/Statement/v1", "predicateType": "other", "subject": []}"#,
    ])
  func bad(text: String) throws {
    let file = try File(readingFrom: folder.write(Array(text.utf8), to: "bad.json"))
    #expect(throws: ManifestError.self) { try ModelManifest(reading: file) }
  }

  @Test("Pointers of Git LFS")
  func pointers() throws {
    let path = try folder.write(Array("hello\n".utf8), to: "hello")
    // `git lfs pointer --file hello`
    let pointer = """
      version https://git-lfs.github.com/spec/v1
      oid sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03
      size 6

      """
    let recorded = try LFSDigest(folder.write(Array(pointer.utf8), to: "pointer"), for: path)
    #expect(try LFSReport(of: path, against: recorded).isIntact)
    let other = try folder.write(Array("hellO\n".utf8), to: "other")
    #expect(try !LFSReport(of: other, against: recorded).isIntact)
    let longer = try LFSReport(of: folder.file("pointer"), against: recorded)
    #expect(!longer.isIntact && longer.digest == nil && longer.isPointer)
    for bad in ["", "version https://git-lfs.github.com/spec/v2\n", pointer + "size 6\n"] {
      let file = try folder.write(Array(bad.utf8), to: "bad")
      #expect(throws: ManifestError.self) { try LFSDigest(file, for: path) }
    }
    #expect(throws: ManifestError.self) { try LFSDigest("sha256:12", for: path) }
    #expect(throws: ManifestError.self) { try LFSDigest("cache", for: path) }
  }
}
