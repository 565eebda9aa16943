import Foundation
import CkptPlatform
import CkptTestSupport
import Testing

@Suite("Outputs that appear whole or not at all")
struct AtomicOutputTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func put(_ bytes: [UInt8], into output: AtomicOutput) throws {
    try output.file.write(bytes, at: 0)
  }

  @Test("Nothing is seen before the commit, everything after it")
  func commits() throws {
    let output = try AtomicOutput(path: folder.file("out"), replacingExisting: false)
    try put([1, 2, 3], into: output)
    #expect(!FileManager.default.fileExists(atPath: folder.file("out")))
    try output.commit()
    #expect(try contents(of: folder.file("out")) == [1, 2, 3])
    #expect(try folder.names() == ["out"])
  }

  @Test("Work that is given up leaves the target as it was, and nothing beside it")
  func givenUp() throws {
    let path = try folder.write([9], to: "out")
    do {
      let output = try AtomicOutput(path: path, replacingExisting: true)
      try put([1, 2, 3], into: output)
    }
    #expect(try contents(of: path) == [9])
    #expect(try folder.names() == ["out"])
  }

  @Test("A target that exists is replaced only if that was asked for")
  func exists() throws {
    let path = try folder.write([9], to: "out")
    let error = #expect(throws: FileError.self) {
      try AtomicOutput(path: path, replacingExisting: false)
    }
    #expect(error?.kind == .cannotCreate)
    #expect(error?.remedies.flatMap(\.actions) == [.replaceExisting])
    let output = try AtomicOutput(path: path, replacingExisting: true)
    try put([1], into: output)
    try output.commit()
    #expect(try contents(of: path) == [1])
  }

  @Test("A file that appears under the name meanwhile is not replaced")
  func appeared() throws {
    let output = try AtomicOutput(path: folder.file("out"), replacingExisting: false)
    try put([1], into: output)
    _ = try folder.write([9], to: "out")
    #expect(throws: FileError.self) { try output.commit() }
    #expect(try contents(of: folder.file("out")) == [9])
  }

  @Test("The file behind a symbolic link is replaced, and keeps its permissions")
  func link() throws {
    let path = try folder.write([9], to: "real")
    #expect(chmod(path, 0o640) == 0)
    try FileManager.default.createSymbolicLink(
      atPath: folder.file("link"), withDestinationPath: "real")
    let output = try AtomicOutput(path: folder.file("link"), replacingExisting: true)
    try put([1], into: output)
    try output.commit()
    #expect(try contents(of: path) == [1])
    let attributes = try FileManager.default.attributesOfItem(atPath: path)
    #expect(attributes[.posixPermissions] as? Int == 0o640)
    #expect(
      try FileManager.default.destinationOfSymbolicLink(atPath: folder.file("link")) == "real")
  }

  @Test("Cancelled work is not put in place; work in place cannot be cancelled")
  func cancellation() throws {
    let cancellation = Cancellation()
    let output = try AtomicOutput(
      path: folder.file("out"), replacingExisting: false, cancellation: cancellation)
    #expect(cancellation.cancel())
    #expect(
      message(of: CancelledError.self) { try output.commit() }
        == "interrupted; nothing was written")
    #expect(!FileManager.default.fileExists(atPath: folder.file("out")))

    let later = Cancellation()
    let second = try AtomicOutput(
      path: folder.file("second"), replacingExisting: false, cancellation: later)
    try second.commit()
    #expect(!later.cancel())
    #expect(!later.isCancelled)
  }

  @Test("Folders, pipes and missing folders cannot be targets")
  func badTargets() throws {
    #expect(mkfifo(folder.file("pipe"), 0o600) == 0)
    let paths = [
      folder.path, folder.file("pipe"), folder.file("no/such"), folder.file("new/"), "", "a\0b",
    ]
    for path in paths {
      let error = #expect(throws: FileError.self, "\(path)") {
        try AtomicOutput(path: path, replacingExisting: true)
      }
      #expect(error?.kind == .cannotCreate, "\(path)")
    }
  }
}
