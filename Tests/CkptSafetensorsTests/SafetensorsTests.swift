import CkptBytes
import CkptPlatform
import CkptSafetensors
import CkptTensors
import CkptTestSupport
import Testing

@Suite("Safetensors headers")
struct SafetensorsTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func header(_ json: String, data: [UInt8] = []) throws -> SafetensorsHeader {
    let count = withUnsafeBytes(of: UInt64(json.utf8.count).littleEndian) { Array($0) }
    let path = try folder.write(count + Array(json.utf8) + data, to: "x.safetensors")
    return try SafetensorsHeader(reading: File(readingFrom: path))
  }

  private func entry(_ shape: String, _ offsets: String, type: String = "U8") -> String {
    "{\"dtype\":\"\(type)\",\"shape\":[\(shape)],\"data_offsets\":[\(offsets)]}"
  }

  @Test(
    "What the reference takes is taken: space, unknown fields, null metadata, empty tensors anywhere"
  )
  func accepted() throws {
    #expect(try header("{}").entries.isEmpty)
    #expect(try header("{ }  \n").entries.isEmpty)
    #expect(try header("\t{}").dataOffset == 11)
    #expect(try header("{\"__metadata__\":null}").metadata == nil)
    #expect(
      try header("{\"__metadata__\":{\"a\":\"b\\u00e9\\ud83d\\ude00\"}}").metadata?.first?.value
        == "bé😀")
    let unknown =
      "{\"dtype\":\"U8\",\"x\":[1,{\"y\":[-0.5e+3,true,null,\"\"]},{}],\"shape\":[1],\"data_offsets\":[0,1]}"
    #expect(try header("{\"a\":\(unknown)}", data: [7]).entries.first?.range == 0..<1)
    let three = "{\"c\":\(entry("0", "1,1")),\"b\":\(entry("1", "0,1")),\"a\":\(entry("0", "0,0"))}"
    #expect(try header(three, data: [7]).entries.map(\.key) == ["c", "b", "a"])
  }

  @Test("Unknown values nest as deep as in the reference, and no deeper")
  func depth() throws {
    func nested(_ depth: Int) -> String {
      let brackets = String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
      return "{\"a\":{\"dtype\":\"U8\",\"x\":\(brackets),\"shape\":[1],\"data_offsets\":[0,1]}}"
    }
    #expect(try header(nested(120), data: [1]).entries.count == 1)
    #expect(throws: SafetensorsError.self) { try header(nested(200), data: [1]) }
  }

  @Test(
    "Only numbers as JSON writes them are skipped",
    arguments: [
      "01", "-", "1.", ".5", "1e", "+1", "nul", "tru", "\"a", "[1,]", "{\"a\"}", "[}", "{1:2}",
    ])
  func badValues(value: String) throws {
    #expect(throws: SafetensorsError.self) {
      try header(
        "{\"a\":{\"dtype\":\"U8\",\"x\":\(value),\"shape\":[1],\"data_offsets\":[0,1]}}", data: [1])
    }
  }

  @Test("Every type has as many bits as the format says, and PyTorch's type as many bytes")
  func types() {
    for type in SafetensorsType.allCases {
      guard let dtype = type.dtype else { continue }
      let perElement = type == .float4 ? 2 : 1
      #expect(type.bitCount * perElement == dtype.byteCount * 8)
      #expect(SafetensorsType(dtype) == type)
    }
    #expect(SafetensorsType(.complex128) == nil && SafetensorsType(.qint8) == nil)
  }

  @Test("A header that was laid out is read as it was meant", arguments: 0..<30)
  func roundTrip(seed: Int) throws {
    var random = SeededRandom(seed)
    let types = SafetensorsType.allCases.filter { $0.bitCount % 8 == 0 }
    let items = (0..<Int.random(in: 0...40, using: &random)).map { number in
      let shape = (0..<Int.random(in: 0...3, using: &random)).map { _ in
        Int.random(in: 0...4, using: &random)
      }
      let type = types[Int.random(in: types.indices, using: &random)]
      return SafetensorsLayout.Item(
        key: "k\u{1}\"\\é\(number)", type: type, shape: shape,
        byteCount: shape.reduce(1, *) * type.bitCount / 8)
    }
    let layout = try SafetensorsLayout(items, metadata: [("a", "\n\"ü"), ("", "")])
    #expect(layout.header.count % 8 == 0)
    let data = [UInt8](repeating: 0, count: layout.byteCount - layout.header.count)
    let path = try folder.write(layout.header + data, to: "x.safetensors")
    let read = try SafetensorsHeader(reading: File(readingFrom: path))
    #expect(read.metadata?.map(\.value) == ["\n\"ü", ""])
    #expect(read.entries.count == items.count)
    for (entry, slot) in zip(read.entries, layout.slots) {
      #expect(entry.range.lowerBound + read.dataOffset == slot.offset)
    }
  }

  @Test("Bytes changed anywhere in a header lead to an error or a header, never a crash")
  func damaged() throws {
    let bytes = try contents(of: Fixtures.path("formats/layers.safetensors"))
    var random = SeededRandom(5)
    for _ in 0..<2000 {
      var changed = bytes
      for _ in 0...Int.random(in: 0...2, using: &random) {
        changed[Int.random(in: 0..<500, using: &random)] = UInt8(truncatingIfNeeded: random.next())
      }
      if random.next() % 4 == 0 {
        changed.removeLast(Int.random(in: 0...bytes.count, using: &random))
      }
      let file = try File(readingFrom: folder.write(changed, to: "x"))
      do {
        _ = try SafetensorsHeader(reading: file).tensors(in: file)
      } catch is any Diagnostic {}
    }
  }
}

@Suite("Shards")
struct ShardTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func split(_ sizes: [Int], _ storages: [Int?] = [], limit: Int) -> ShardSplit {
    ShardSplit(
      sizes.enumerated().map {
        .init(byteCount: $1, storage: storages.isEmpty ? nil : storages[$0])
      },
      limit: limit)
  }

  @Test("Tensors are dealt out in their order, as huggingface_hub does")
  func greedy() {
    // The example in huggingface_hub's own documentation.
    #expect(split([6, 6, 2, 6, 2, 2], limit: 10).shards == [[0], [1, 2], [3, 4, 5]])
    // What is too large has a file to itself, which comes before the one that was begun.
    #expect(split([1, 20, 1], limit: 10).shards == [[1], [0, 2]])
    #expect(split([1, 1, 5], [0, 0, 1], limit: 6).shards == [[0, 2, 1]])
    #expect(split([1, 1, 5], [0, 0, 1], limit: 6).totalByteCount == 6)
    #expect(split([], limit: 10).shards.isEmpty)
  }

  @Test("File names carry the shard's number, and are taken apart again")
  func names() throws {
    let name = ShardSplit.fileName("my-model", ".safetensors", number: 1, of: 3)
    #expect(name == "my-model-00002-of-00003.safetensors")
    let parts = try #require(ShardSplit.parse(name, ".safetensors"))
    #expect(parts.stem == "my-model" && parts.number == 1 && parts.count == 3)
    #expect(ShardSplit.fileName("m", ".bin", number: 0, of: 1) == "m.bin")
    for other in [
      "m-00004-of-00003.bin", "m-1-of-3.bin", "m-00000-of-00003.bin", "m.bin", "-of-.bin",
      "m-00001-of-99999999999999999999.bin",
    ] {
      #expect(ShardSplit.parse(other, ".bin") == nil)
    }
  }

  @Test("An index is read as it was written; keys are sorted, beyond ASCII escaped")
  func index() throws {
    let json = ShardIndex.encoded(
      files: [("b", "2"), ("é😀\u{7F}", "1"), ("a", "1")], totalByteCount: 12,
      metadata: [("tied", "a")])
    #expect(
      String(decoding: json, as: UTF8.self) == """
        {
          "metadata": {
            "tied": "a",
            "total_size": 12
          },
          "weight_map": {
            "a": "1",
            "b": "2",
            "\\u00e9\\ud83d\\ude00\\u007f": "1"
          }
        }

        """)
    let index = try ShardIndex(reading: File(readingFrom: folder.write(json, to: "i.json")))
    #expect(index.files.map(\.key) == ["a", "b", "é😀\u{7F}"])
    #expect(index.metadata.map(\.key) == ["tied"])
  }
}
