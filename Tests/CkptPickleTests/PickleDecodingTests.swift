import CkptPickle
import CkptTestSupport
import Testing

@Suite("Pickles are read as data")
struct PickleDecodingTests {
  typealias Ref = PickleGraph.Ref

  private func decode(_ text: String) throws -> PickleGraph {
    try PickleGraph(decoding: Array(text.utf8))
  }

  private func integer(_ text: String) throws -> String? {
    let graph = try decode(text)
    return graph.decimal(graph.root)
  }

  @Test(
    "Protocol 0 writes ints as digits",
    arguments: [
      ("I0\n.", "0"), ("I-7\n.", "-7"), ("L12345678901234567890L\n.", "12345678901234567890"),
      ("L-9223372036854775808L\n.", "-9223372036854775808"),
      ("L-9223372036854775809L\n.", "-9223372036854775809"), ("I+5\n.", "5"),
    ])
  func textInts(pickle: String, value: String) throws {
    #expect(try integer(pickle) == value)
  }

  @Test("Protocol 0 writes bools as the ints 00 and 01")
  func textBools() throws {
    for (pickle, value) in [("I00\n.", false), ("I01\n.", true)] {
      let graph = try decode(pickle)
      #expect(graph.bool(graph.root) == value)
    }
  }

  @Test(
    "Ints of every width come back with their sign",
    arguments: [
      ([0x4B, 255], "255"), ([0x4D, 0, 1], "256"), ([0x4A, 0xFF, 0xFF, 0xFF, 0xFF], "-1"),
      ([0x8A, 0], "0"), ([0x8A, 1, 0x80], "-128"), ([0x8A, 2, 0x80, 0], "128"),
      ([0x8A, 9, 0, 0, 0, 0, 0, 0, 0, 0, 1], "18446744073709551616"),
      ([0x8A, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF], "-18446744073709551616"),
      ([0x8B, 1, 0, 0, 0, 5], "5"),
    ] as [([UInt8], String)])
  func binaryInts(opcode: [UInt8], value: String) throws {
    let graph = try PickleGraph(decoding: opcode + Array(".".utf8))
    #expect(graph.decimal(graph.root) == value)
  }

  @Test(
    "Floats keep every bit",
    arguments: [0.0, -0.0, 1.5, .infinity, -.infinity, .leastNonzeroMagnitude] as [Double])
  func floats(value: Double) throws {
    let bits = (0..<8).map { UInt8(truncatingIfNeeded: value.bitPattern >> (56 - 8 * $0)) }
    let graph = try PickleGraph(decoding: [0x47] + bits + [0x2E])
    guard case .float(let found) = graph[graph.root] else {
      Issue.record("no float")
      return
    }
    #expect(found == value.bitPattern)
    #expect(try graph.encoded().dropFirst(2).elementsEqual([0x47] + bits + [0x2E]))
  }

  @Test("A NaN keeps its payload")
  func nan() throws {
    let pickle: [UInt8] = [0x80, 2, 0x47, 0x7F, 0xF0, 0, 0, 0, 0, 0x12, 0x34, 0x2E]
    #expect(try PickleGraph(decoding: pickle).encoded() == pickle)
  }

  @Test(
    "Protocol 0 writes text with escapes",
    arguments: [
      ("Vplain\n.", "plain"), (#"V\u00e9\u4e2d\U0001F600"# + "\n.", "é中😀"),
      (#"Va\u005cb\u000ac"# + "\n.", "a\\b\nc"), (#"S'it\'s\x41\101\n'"# + "\n.", "it'sAA\n"),
      (#"S"double""# + "\n.", "double"),
    ])
  func text(pickle: String, value: String) throws {
    let graph = try decode(pickle)
    #expect(graph.text(graph.root) == value)
  }

  @Test("Lone surrogates are kept, and are no text")
  func surrogates() throws {
    let pickle: [UInt8] = [0x80, 2, 0x58, 3, 0, 0, 0, 0xED, 0xA0, 0x80, 0x71, 0, 0x2E]
    let graph = try PickleGraph(decoding: pickle)
    #expect(graph.text(graph.root) == nil)
    #expect(try graph.encoded() == pickle)
  }

  @Test("What is no UTF-8 even to Python is refused")
  func badUTF8() {
    for bytes: [UInt8] in [[0xFF], [0xC0, 0x80], [0xE0, 0x80, 0x80], [0xF4, 0x90, 0x80, 0x80]] {
      let pickle = [0x58, UInt8(bytes.count), 0, 0, 0] + bytes + [0x2E]
      #expect(
        message(of: PickleError.self) { try PickleGraph(decoding: pickle) }
          == "damaged pickle: a str that is no UTF-8 (byte 0)")
    }
  }

  @Test("Containers of protocol 0 and 1 are what protocol 2 makes of them")
  func containers() throws {
    let graph = try decode("(lp0\nI1\naI2\na.")
    #expect(graph.ints(graph.root) == [1, 2])
    #expect(try decode("(I1\nI2\nl.").ints(try decode("(I1\nI2\nl.").root) == [1, 2])
    let tuple = try decode("(I1\nI2\nI3\nI4\nt.")
    #expect(tuple.ints(tuple.root) == [1, 2, 3, 4])
    let dict = try decode("(dp0\nVa\nI1\ns.")
    guard case .setItem(let key, let value)? = dict.body(of: dict.root)?.edits.first else {
      Issue.record("no item")
      return
    }
    #expect(dict.text(key) == "a")
    #expect(dict.int(value) == 1)
  }

  @Test("A class that nobody knows is a name, and a call to it is data")
  func calls() throws {
    let graph = try decode("cos\nsystem\n(Vrm -rf /\ntR.")
    guard case .reduce(let callable, let arguments)? = graph.body(of: graph.root)?.construction
    else {
      Issue.record("no call")
      return
    }
    #expect(graph.global(callable)?.module == "os")
    #expect(graph.global(callable)?.name == "system")
    #expect(graph.items(of: arguments)?.compactMap { graph.text($0) } == ["rm -rf /"])
  }

  @Test("An object that is mentioned twice, or holds itself, is one object")
  func sharing() throws {
    let shared = try decode("(]p0\ng0\nt.")
    let items = try #require(shared.items(of: shared.root))
    #expect(items.count == 2 && items.first == items.last)
    let cycle = try decode("]p0\ng0\na.")
    guard case .append(let item)? = cycle.body(of: cycle.root)?.edits.first else {
      Issue.record("no item")
      return
    }
    #expect(item == cycle.root)
  }

  @Test("What follows the end is ignored, as Python does")
  func trailing() throws {
    #expect(try integer("I5\n.rubbish") == "5")
  }
}
