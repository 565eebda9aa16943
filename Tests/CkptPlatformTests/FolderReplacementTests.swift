import CkptPlatform
import CkptTestSupport
import Foundation
import Testing

@Suite("Files that replace others in a folder")
struct FolderReplacementTests {
  let base: TemporaryFolder
  private var path: String { base.file("out") }

  init() throws {
    base = try TemporaryFolder()
    try FileManager.default.createDirectory(
      atPath: base.file("out"), withIntermediateDirectories: false)
    for name in ["a.bin", "b.bin", "index", "notes"] { try put(Array("old \(name)".utf8), name) }
  }

  private func put(_ bytes: [UInt8], _ name: String) throws {
    _ = try base.write(bytes, to: "out/" + name)
  }

  private func texts() throws -> [String: String] {
    var found: [String: String] = [:]
    for name in try FileManager.default.contentsOfDirectory(atPath: path) {
      found[name] = String(decoding: try contents(of: path + "/" + name), as: UTF8.self)
    }
    return found
  }

  private let old = [
    "a.bin": "old a.bin", "b.bin": "old b.bin", "index": "old index", "notes": "old notes",
  ]

  private func output(_ names: [String], replacing: Bool = true) throws -> AtomicFolder {
    let output = try AtomicFolder(path: path, replacingExisting: replacing)
    for name in names { try output.makeFile(name).write(Array("new \(name)".utf8), at: 0) }
    return output
  }

  @Test func `New files replace old ones, other files stay, obsolete ones go`() throws {
    let output = try output(["a.bin", "c.bin", "index"])
    #expect(try texts() == old)
    try output.commit(removing: { $0.filter { $0 == "b.bin" } })
    #expect(
      try texts() == [
        "a.bin": "new a.bin", "c.bin": "new c.bin", "index": "new index", "notes": "old notes",
      ])
  }

  @Test func `The old index refers to second names while files are replaced`() throws {
    let output = try output(["a.bin", "b.bin", "index"])
    var asked: [String: String] = [:]
    var found: [String: String] = [:]
    try output.commit(
      redirecting: { index, names in
        asked = names
        #expect((try? index.bytes(at: 0, count: 9)) == Array("old index".utf8))
        found = (try? texts()) ?? [:]
        return Array(names.values.sorted().joined(separator: " ").utf8)
      })
    #expect(Set(asked.keys) == ["a.bin", "b.bin"])
    for (name, second) in asked { #expect(found[second] == "old \(name)") }
    #expect(
      asked.values.allSatisfy {
        $0.hasPrefix(".ckpt-") && $0.hasSuffix(".old.bin") && Folder.isPlain($0)
      })
    #expect(try texts().keys.sorted() == ["a.bin", "b.bin", "index", "notes"])
    #expect(try texts()["index"] == "new index")
  }

  @Test func `A file that cannot be put in place leaves the old ones`() throws {
    // A folder cannot be replaced by a file.
    try FileManager.default.createDirectory(
      atPath: path + "/z.bin", withIntermediateDirectories: false)
    let output = try output(["a.bin", "c.bin", "z.bin", "index"])
    let error = #expect(throws: FileError.self) {
      try output.commit(redirecting: { _, names in Array("redirected".utf8) })
    }
    #expect(error?.kind == .cannotCreate)
    try FileManager.default.removeItem(atPath: path + "/z.bin")
    #expect(try texts() == old)
  }

  @Test func `What a killed process left is removed, and nothing else`() throws {
    try put([1], ".ckpt-abc-0.old.bin")
    try put([1], ".ckpt-abc.tmp")
    try FileManager.default.createDirectory(
      atPath: path + "/.ckpt-0z.tmp", withIntermediateDirectories: false)
    try put([1], ".ckpt-0z.tmp/shard")
    let others = [".ckpt-abc", ".ckpt-ABC.tmp", ".ckpt-a.b.tmp", ".ckptabc.tmp", "ckpt-a.tmp"]
    for name in others { try put([1], name) }
    try output(["a.bin", "index"]).commit()
    #expect(try Set(texts().keys) == Set(["a.bin", "b.bin", "index", "notes"] + others))
  }

  @Test func `A file that another output is writing is not taken for left behind`() throws {
    let one = try AtomicOutput(path: path + "/one", replacingExisting: false)
    let other = try AtomicOutput(path: path + "/other", replacingExisting: false)
    for output in [one, other] {
      try output.file.write([1], at: 0)
      try output.commit()
    }
    #expect(try contents(of: path + "/one") == [1])
  }

  @Test func `Two writers of one folder exclude each other`() throws {
    let first = try output(["index"])
    let error = #expect(throws: FileError.self) { try output(["index"]) }
    #expect(error?.kind == .cannotCreate)
    #expect(error?.problem == "another process is writing in the folder")
    #expect(throws: FileError.self) { try FolderLock(path, .shared) }
    try first.commit()
    #expect(try texts()["index"] == "new index")
  }

  @Test func `Jobs share a folder, and exclude who would replace it`() throws {
    let jobs = try [FolderLock(path, .shared), FolderLock(path, .shared)]
    #expect(throws: FileError.self) { try output(["index"]) }
    withExtendedLifetime(jobs) {}
    #expect(
      #expect(throws: FileError.self) { try FolderLock(base.file("no"), .alone) }?.kind
        == .cannotCreate)
  }
}
