import CkptIO
import CkptBytes
import CkptPlatform
import StateDictKit
import CkptTestSupport
import Testing

@Suite("Bad files")
struct BadFileTests {
  struct Case: Decodable, CustomTestStringConvertible {
    let file: String
    let says: String
    var testDescription: String { file }
  }

  @Test(
    "Each is refused with an error that says what and where",
    arguments: try Fixtures.decode([Case].self, from: "bad/bad.json"))
  func bad(example: Case) throws {
    let folder = try TemporaryFolder()
    let error = #expect(throws: (any Error).self) {
      let checkpoint = try Checkpoint(contentsOf: Fixtures.path("bad/" + example.file))
      _ = try checkpoint.stateDict()
      try checkpoint.write(to: folder.file("out.pt"))
    }
    let diagnostic = try #require(error as? any Diagnostic)
    #expect(diagnostic.kind == .badInput)
    #expect(diagnostic.description.contains(example.says), "\(diagnostic.description)")
    #expect(diagnostic.description.contains(example.file), "\(diagnostic.description)")
    #expect(diagnostic.context.file == Fixtures.path("bad/" + example.file))
    #expect(try folder.names().isEmpty)
  }

  @Test("An error of the system is the cause of the error, and tells the file")
  func noFile() throws {
    let folder = try TemporaryFolder()
    let path = folder.file("none.pt")
    let error = #expect(throws: (any Error).self) { try Checkpoint(contentsOf: path) }
    let diagnostic = try #require(error as? any Diagnostic)
    #expect(diagnostic.kind == .cannotOpen)
    #expect(diagnostic.context == ErrorContext(file: path))
    #expect((diagnostic.underlying as? SystemError)?.code == 2)
  }

  @Test(
    "Bytes changed anywhere in a checkpoint lead to an error or a checkpoint, never a crash",
    arguments: ["training", "python_objects", "quantized", "special_tensors", "protocol_5"])
  func damaged(name: String) throws {
    let folder = try TemporaryFolder()
    let bytes = try contents(of: Fixtures.path(name + ".pt"))
    // The pickle's checksum would stop most changes at the door; it is recorded as absent here.
    let open = try withoutChecksums(bytes)
    var random = SeededRandom(11)
    for _ in 0..<300 {
      var changed = open
      for _ in 0...Int.random(in: 0...3, using: &random) {
        // The pickle is the first record.
        changed[Int.random(in: 0..<min(open.count, 4000), using: &random)] = UInt8(
          truncatingIfNeeded: random.next())
      }
      do {
        let checkpoint = try Checkpoint(contentsOf: folder.write(changed, to: "x.pt"))
        _ = try checkpoint.objectTree(depth: 8)
        for (_, tensor) in try checkpoint.stateDict().tensors where tensor.byteCount < 1 << 20 {
          if !tensor.isMeta { _ = try tensor.contiguousBytes() }
        }
        try checkpoint.write(to: folder.file("out.pt"), replacingExisting: true)
      } catch is any Diagnostic {}
    }
  }

  /// The archive with a recorded CRC of 0 for every record, which PyTorch may write and means none.
  private func withoutChecksums(_ bytes: [UInt8]) throws -> [UInt8] {
    var bytes = bytes
    var position = 0
    while position + 46 <= bytes.count {
      if bytes[position..<position + 4].elementsEqual([0x50, 0x4B, 1, 2]) {
        for offset in 16..<20 { bytes[position + offset] = 0 }
      }
      if bytes[position..<position + 4].elementsEqual([0x50, 0x4B, 7, 8]) {
        for offset in 4..<8 { bytes[position + offset] = 0 }
      }
      position += 1
    }
    return bytes
  }
}
