import Foundation
import CkptPlatform
import CkptTestSupport
import Testing

@Suite("Folders")
struct FolderTests {
  let base: TemporaryFolder
  let path: String

  init() throws {
    base = try TemporaryFolder()
    path = base.file("model")
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
  }

  private func link(_ name: String, to target: String) throws {
    try FileManager.default.createSymbolicLink(
      atPath: path + "/" + name, withDestinationPath: target)
  }

  private func write(_ output: AtomicFolder, _ files: [(String, [UInt8])]) throws {
    for (name, bytes) in files {
      let file = try output.makeFile(name)
      try file.write(bytes, at: 0)
    }
  }

  @Test("Files are opened by name; a name that leaves the folder is refused")
  func names() throws {
    _ = try base.write([1], to: "outside")
    _ = try base.write([2], to: "model/inside")
    let folder = try Folder(path + "/")
    #expect(folder.path == path && folder.names == ["inside"])
    #expect(try folder.open("inside").size == 1)
    for name in ["../outside", "..", ".", "", "a/b", "/etc/passwd", "a\0b"] {
      let error = #expect(throws: FileError.self) { try folder.open(name) }
      #expect(error?.kind == .badInput)
    }
    #expect(#expect(throws: FileError.self) { try folder.open("none") }?.kind == .cannotOpen)
    #expect(throws: FileError.self) { try Folder(base.file("none")) }
  }

  @Test(
    "A link is followed inside the folder, and out of it only to the blobs of the same repository")
  func links() throws {
    _ = try base.write([1], to: "outside")
    _ = try base.write([2], to: "model/inside")
    try link("in", to: "inside")
    try link("out", to: "../outside")
    try link("far", to: "/etc/hostname")
    let folder = try Folder(path)
    #expect(try folder.open("in").size == 1)
    for name in ["out", "far"] {
      #expect(#expect(throws: FileError.self) { try folder.open(name) }?.kind == .badInput)
    }
    for part in ["blobs", "snapshots", "snapshots/abc"] {
      try FileManager.default.createDirectory(
        atPath: base.file(part), withIntermediateDirectories: false)
    }
    _ = try base.write([1, 2, 3], to: "blobs/123")
    for (name, target) in [("a", "../../blobs/123"), ("b", "../../outside")] {
      try FileManager.default.createSymbolicLink(
        atPath: base.file("snapshots/abc/" + name), withDestinationPath: target)
    }
    let snapshot = try Folder(base.file("snapshots/abc"))
    #expect(try snapshot.open("a").size == 3)
    #expect(throws: FileError.self) { try snapshot.open("b") }
  }

  @Test("A new folder appears with all its files, or not at all")
  func new() throws {
    let target = base.file("out")
    do {
      let output = try AtomicFolder(path: target, replacingExisting: false)
      try write(output, [("a", [1]), ("index", [2])])
      #expect(try base.names() == ["model"])
    }
    #expect(try base.names() == ["model"])
    let output = try AtomicFolder(path: target + "/", replacingExisting: false)
    try write(output, [("a", [1]), ("index", [2])])
    try output.commit()
    #expect(try base.names() == ["model", "out"])
    #expect(try Folder(target).names == ["a", "index"])
    #expect(try contents(of: target + "/index") == [2])
  }

  @Test(
    "In a folder that exists, other files stay; those of the same name need to be allowed to go")
  func existing() throws {
    _ = try base.write([1], to: "model/config")
    _ = try base.write([1], to: "model/index")
    _ = try base.write([1], to: "model/old")
    do {
      let strict = try AtomicFolder(path: path, replacingExisting: false)
      try write(strict, [("new", [7])])
      let error = #expect(throws: FileError.self) { try strict.makeFile("index") }
      #expect(error?.kind == .cannotCreate)
    }
    let output = try AtomicFolder(path: path, replacingExisting: true)
    try write(output, [("new", [8]), ("index", [9])])
    #expect(try Folder(path).names == ["config", "index", "old"])
    try output.commit(removing: { _ in ["old", "../model/config"] })
    #expect(try Folder(path).names == ["config", "index", "new"])
    #expect(try contents(of: path + "/index") == [9])
  }

  @Test("What was cancelled leaves nothing, and a file is no folder")
  func cancelled() throws {
    let cancellation = Cancellation()
    let output = try AtomicFolder(
      path: base.file("out"), replacingExisting: false, cancellation: cancellation)
    try write(output, [("a", [1])])
    cancellation.cancel()
    #expect(
      message(of: CancelledError.self) { try output.commit() }
        == "interrupted; nothing was written")
    #expect(try base.names() == ["model"])
    #expect(throws: FileError.self) {
      try AtomicFolder(path: base.write([1], to: "file"), replacingExisting: true)
    }
    #expect(throws: FileError.self) { try output.makeFile("../a") }
  }
}
