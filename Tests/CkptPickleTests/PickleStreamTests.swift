import CkptPickle
import CkptPlatform
import CkptTestSupport
import Testing

@Suite("Pickles in a row")
struct PickleStreamTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func stream(_ bytes: [UInt8], limit: Int = 1 << 20) throws -> PickleStream {
    let file = try File(readingFrom: folder.write(bytes, to: "x"))
    return PickleStream(file, in: 0..<bytes.count, limit: limit)
  }

  @Test("Each is decoded by itself, whatever stands behind it", arguments: 0..<60)
  func random(seed: Int) throws {
    var random = SeededRandom(seed)
    let pickles = try (0..<5).map { try RandomGraph(seed: seed * 5 + $0, size: 30).graph.encoded() }
    var bytes: [UInt8] = []
    var starts: [Int] = []
    for pickle in pickles {
      starts.append(bytes.count)
      bytes += pickle + random.bytes(Int.random(in: 0...40, using: &random))
    }
    var stream = try stream(bytes)
    for (pickle, start) in zip(pickles, starts) {
      stream.offset = start
      #expect(try stream.next().encoded() == pickle)
      #expect(stream.offset == start + pickle.count)
    }
  }

  @Test("Pickles of all protocols that Python wrote are passed over to their very end")
  func python() throws {
    // pickle.dumps([1, -70000, 2**70, 1.5, "é", b"ab", None, True, {"k": (1, 2, 3, 4)}], protocol)
    for hex in PythonPickles.all {
      let pickle = PythonPickles.bytes(hex)
      var stream = try stream(pickle + [0x4B, 0x01, 0x2E])
      _ = try stream.next()
      #expect(stream.offset == pickle.count)
      let last = try stream.next()
      #expect(last.int(last.root) == 1)
    }
  }

  @Test("One that is cut off, or larger than the limit, is refused")
  func damaged() throws {
    for hex in PythonPickles.all {
      let pickle = PythonPickles.bytes(hex)
      for count in 0..<pickle.count {
        var stream = try stream(Array(pickle[..<count]))
        #expect(throws: PickleError.self) { try stream.next() }
      }
      var stream = try stream(pickle, limit: 20)
      #expect(throws: PickleError.self) { try stream.next() }
    }
  }

  @Test("Bytes changed anywhere lead to an error or a graph, never a crash")
  func changed() throws {
    var random = SeededRandom(3)
    for hex in PythonPickles.all {
      let pickle = PythonPickles.bytes(hex)
      for _ in 0..<100 {
        var changed = pickle
        changed[Int.random(in: pickle.indices, using: &random)] = UInt8(
          truncatingIfNeeded: random.next())
        var stream = try stream(changed)
        do { _ = try stream.next() } catch is PickleError {}
      }
    }
  }
}
