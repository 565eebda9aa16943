import Foundation
import CkptPlatform
import CkptTestSupport
import Testing

@Suite("Files read by position")
struct FileTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  @Test("Space that the file system cannot give is refused before anything is written")
  func reserved() throws {
    let folder = try TemporaryFolder()
    let output = try AtomicOutput(path: folder.file("out"), replacingExisting: false)
    try output.file.reserve(byteCount: 10_000_000)
    #if os(Linux)
      let error = #expect(throws: FileError.self) {
        try output.file.reserve(byteCount: 1 << 50)
      }
      #expect(error?.kind == .inputOutput)
    #endif
  }

  @Test("The bytes of any range come back")
  func ranges() throws {
    let file = try File(readingFrom: folder.write(Array(0..<200), to: "a"))
    #expect(file.size == 200)
    #expect(try file.bytes(at: 0, count: 200) == Array(0..<200))
    #expect(try file.bytes(at: 17, count: 3) == [17, 18, 19])
    #expect(try file.bytes(at: 200, count: 0).isEmpty)
  }

  @Test(
    "A range beyond the end is an error, whatever its numbers",
    arguments: [(0, 11), (10, 1), (11, 0), (-1, 2), (3, -1), (Int.max, Int.max), (1, Int.max)])
  func outside(range: (Int, Int)) throws {
    let file = try File(readingFrom: folder.write([UInt8](repeating: 0, count: 10), to: "a"))
    let error = #expect(throws: FileError.self) { try file.bytes(at: range.0, count: range.1) }
    #expect(error?.kind == .inputOutput)
  }

  @Test("A file that shrank after it was opened is an error, not a wait")
  func shrunk() throws {
    let path = try folder.write([UInt8](repeating: 1, count: 100), to: "a")
    let file = try File(readingFrom: path)
    #expect(truncate(path, 50) == 0)
    #expect(throws: FileError.self) { try file.bytes(at: 0, count: 100) }
  }

  @Test("Folders, pipes, devices and missing files cannot be opened")
  func notFiles() throws {
    #expect(mkfifo(folder.file("pipe"), 0o600) == 0)
    for path in [folder.path, folder.file("pipe"), "/dev/null", folder.file("none"), "", "a\0b"] {
      let error = #expect(throws: FileError.self) { try File(readingFrom: path) }
      #expect(error?.kind == .cannotOpen, "\(path)")
    }
  }

  @Test("Two names of one file are the same file")
  func identity() throws {
    let path = try folder.write([1], to: "a")
    let other = try folder.write([1], to: "b")
    try FileManager.default.createSymbolicLink(
      atPath: folder.file("link"), withDestinationPath: path)
    let identity = try File(readingFrom: path).identity
    #expect(try File(readingFrom: folder.file("link")).identity == identity)
    #expect(try File(readingFrom: other).identity != identity)
  }
}
