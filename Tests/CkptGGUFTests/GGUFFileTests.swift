import Foundation
import CkptGGUF
import CkptBytes
import CkptPlatform
import CkptTensors
import CkptTestSupport
import Testing

@Suite("GGUF headers")
struct GGUFFileTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// A header of one tensor, with places to lie in.
  private struct Header {
    var magic = Array("GGUF".utf8)
    var version: UInt32 = 3
    var tensors: UInt64 = 1
    var values: UInt64 = 1
    var key = "general.name"
    var kind: UInt32 = 8
    var value = Header.text("x")
    var name = "w"
    var rank: UInt32 = 2
    var dimensions: [UInt64] = [4, 2]
    var type: UInt32 = 0
    var offset: UInt64 = 0
    var data = [UInt8](repeating: 7, count: 32)

    static func bytes(_ value: some FixedWidthInteger) -> [UInt8] {
      withUnsafeBytes(of: value.littleEndian) { Array($0) }
    }
    static func text(_ text: String) -> [UInt8] {
      bytes(UInt64(text.utf8.count)) + Array(text.utf8)
    }

    var bytes: [UInt8] {
      var all = magic + Self.bytes(version) + Self.bytes(tensors) + Self.bytes(values)
      all += Self.text(key) + Self.bytes(kind) + value
      all += Self.text(name) + Self.bytes(rank) + dimensions.flatMap { Self.bytes($0) }
      all += Self.bytes(type) + Self.bytes(offset)
      all += [UInt8](repeating: 0, count: (32 - all.count % 32) % 32)
      return all + data
    }
  }

  private func read(_ bytes: [UInt8]) throws -> GGUFFile {
    try GGUFFile(File(readingFrom: folder.write(bytes, to: "x.gguf")))
  }

  @Test("The shape is turned round, and values are read")
  func good() throws {
    let file = try read(Header().bytes)
    #expect(file.tensors.map(\.shape) == [[2, 4]])
    #expect(file.metadata.map(\.value) == [.text("x")])
    #expect(
      try file.tensors[0].plainTensor()?.contiguousBytes() == [UInt8](repeating: 7, count: 32))
  }

  @Test("Numbers that lie are refused before anything is allocated")
  func lies() throws {
    let changes: [(inout Header) -> Void] = [
      { $0.version = 1 }, { $0.version = 0x0300_0000 }, { $0.tensors = .max },
      { $0.tensors = 1 << 40 }, { $0.values = .max }, { $0.values = 1 << 40 },
      { $0.value = Header.bytes(UInt64.max) }, { $0.value = Header.bytes(UInt64(1) << 62) },
      { $0.kind = 99 }, { $0.rank = .max }, { $0.rank = 9 },
      { $0.dimensions = [1 << 62, 1 << 62] },
      { $0.dimensions = [.max, 2] }, { $0.dimensions = [5, 2] }, { $0.type = 4 }, { $0.type = 99 },
      { $0.type = 12 }, { $0.offset = .max }, { $0.offset = 1 << 40 }, { $0.offset = 1 },
      { $0.offset = 32 }, { $0.data = [] }, { $0.data.removeLast() },
      {
        $0.kind = 9
        $0.value = Header.bytes(UInt32(0)) + Header.bytes(UInt64.max)
      },
      {
        $0.kind = 9
        $0.value = Header.bytes(UInt32(8)) + Header.bytes(UInt64(1) << 60)
      },
      {
        // Arrays in arrays, without end.
        $0.kind = 9
        $0.value = (0..<4000).flatMap { _ in Header.bytes(UInt32(9)) + Header.bytes(UInt64(1)) }
      },
      {
        $0.key = "general.alignment"
        $0.kind = 4
        $0.value = Header.bytes(UInt32(0))
      },
      {
        $0.key = "general.alignment"
        $0.kind = 4
        $0.value = Header.bytes(UInt32(24))
      },
    ]
    for change in changes {
      var header = Header()
      change(&header)
      #expect(throws: GGUFError.self) { try read(header.bytes) }
    }
  }

  @Test("A header that is cut off anywhere is refused")
  func cut() throws {
    let whole = Header().bytes
    for count in 4..<whole.count {
      #expect(throws: GGUFError.self) { try read(Array(whole[..<count])) }
    }
  }

  @Test("Bytes changed anywhere lead to an error or a file, never a crash")
  func changed() throws {
    var random = SeededRandom(9)
    let good = try contents(of: Fixtures.path("formats_more/quantized.gguf"))
    for _ in 0..<500 {
      var bytes = good
      for _ in 0...Int.random(in: 0...3, using: &random) {
        bytes[Int.random(in: 0..<2000, using: &random)] = UInt8(truncatingIfNeeded: random.next())
      }
      do {
        for entry in try read(bytes).tensors where entry.elementCount < 1 << 16 {
          _ = try (entry.plainTensor() ?? entry.dequantizedTensor() ?? entry.rawTensor())
            .contiguousBytes()
        }
      } catch is GGUFError {} catch is TensorError {}
    }
  }

  private struct Expected: Decodable {
    let key, type: String
    let shape: [Int]
    let sha256: String
  }

  @Test("Blocks stand for the floats that gguf's own code makes of them, to the bit")
  func values() throws {
    let file = try GGUFFile(File(readingFrom: Fixtures.path("formats_more/quantized.gguf")))
    let expected = try Fixtures.decode([Expected].self, from: "formats_more/quantized.json")
    #expect(file.tensors.map(\.name) == expected.map(\.key))
    for (entry, wanted) in zip(file.tensors, expected) {
      #expect(entry.type.name == wanted.type && entry.shape == wanted.shape, "\(entry.name)")
      let tensor = try #require(try entry.plainTensor() ?? entry.dequantizedTensor())
      #expect(sha256(try tensor.contiguousBytes()) == wanted.sha256, "\(entry.name)")
    }
  }

  @Test("Any part of them can be read, on block boundaries or off")
  func parts() throws {
    var random = SeededRandom(2)
    let file = try GGUFFile(File(readingFrom: Fixtures.path("formats_more/quantized.gguf")))
    for entry in file.tensors where entry.type.canDequantize {
      let source = try #require(try entry.dequantizedTensor()).storage.source
      let whole = try source.allBytes()
      for _ in 0..<20 {
        let start = Int.random(in: 0...whole.count, using: &random)
        let end = Int.random(in: start...whole.count, using: &random)
        #expect(try source.bytes(in: start..<end) == Array(whole[start..<end]))
      }
    }
  }
}
