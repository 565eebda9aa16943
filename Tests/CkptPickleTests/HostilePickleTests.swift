import CkptPickle
import CkptTestSupport
import Testing

@Suite("Hostile pickles")
struct HostilePickleTests {
  @Test(
    "Nonsense is an error that says where",
    arguments: [
      "", "N", ".", "I1\n", "0.", "1.", "a.", "s.", "(s.", "(Ns.", "u.", "(u.", "(Nu.", "t.", "R.",
      "NR.", "b.", "Nb.", "g0\n.", "g-1\n.", "gx\n.", "h\u{5}.", "p0\n.", "Ix\n.", "I\n.",
      "L1_0L\n.",
      "F1,5\n.", "Snone\n.", "S'\n.", #"S'\x4'"# + "\n.", #"V\u00"# + "\n.",
      #"V\U00110000"# + "\n.",
      "cmodule\n.", "\u{0}.", "(.", "o.", "(o.", "Na.", "I1\nNa.", "I1\nI1\nI1\ns.", "N(e.",
      "N(I1\ne.", "(I1\nd.", "P\n", "P.", "Q.", "2.", "]e.", "2", "ij\n.", "e.", "\u{7F}.",
    ])
  func nonsense(pickle: String) {
    #expect(throws: PickleError.self) { try PickleGraph(decoding: Array(pickle.utf8)) }
  }

  @Test(
    "Lengths beyond the end are refused before anything is allocated",
    arguments: [
      [0x58, 0xFF, 0xFF, 0xFF, 0x7F], [0x8D, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
      [0x8D, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F], [0x54, 0xFF, 0xFF, 0xFF, 0xFF],
      [0x8B, 0xFF, 0xFF, 0xFF, 0xFF], [0x8B, 0, 0, 0, 0x7F], [0x42, 0, 0, 0, 0x80], [0x55, 9],
      [0x8E, 0, 0, 0, 0, 1, 0, 0, 0], [0x96, 0, 0, 0, 0, 0, 0, 0, 0x80], [0x8A, 200],
      [0x95, 0, 0, 0, 0, 0, 0, 0, 0x80], [0x80, 6], [0x80], [0x82, 0],
      [0x84, 0xFF, 0xFF, 0xFF, 0xFF],
      [0x97], [0x98], [0x6A, 0xFF, 0xFF, 0xFF, 0xFF], [0x8C, 4, 0x61],
    ] as [[UInt8]])
  func lengths(pickle: [UInt8]) {
    #expect(throws: PickleError.self) { try PickleGraph(decoding: pickle + [0x2E]) }
  }

  @Test("Depth costs no stack: lists, tuples, marks, calls and states 100,000 deep are refused")
  func depth() {
    let count = 100_000
    let pickles = [
      [UInt8](repeating: 0x5D, count: count) + [UInt8](repeating: 0x61, count: count - 1),
      [0x29] + [UInt8](repeating: 0x85, count: count),
      [UInt8](repeating: 0x28, count: count),
      Array("cm\nn\n".utf8)
        + (0..<count).flatMap { _ in Array("\u{29}R".utf8) },
      Array("]".utf8) + [UInt8](repeating: 0x51, count: count),
    ]
    for pickle in pickles {
      #expect(
        message(of: PickleError.self) { try PickleGraph(decoding: pickle + [0x2E]) }
          == "objects nest deeper than 10000 levels")
    }
  }

  @Test("Memo numbers far apart cost nothing")
  func farMemo() throws {
    let pickle: [UInt8] = [
      0x5D, 0x72, 0xFF, 0xFF, 0xFF, 0xFF, 0x6A, 0xFF, 0xFF, 0xFF, 0xFF, 0x61, 0x2E,
    ]
    let graph = try PickleGraph(decoding: pickle)
    #expect(graph.body(of: graph.root)?.edits.count == 1)
    #expect(graph.nodes.count == 1)
  }

  @Test("A pickle cut off anywhere is an error; a byte changed anywhere is no crash")
  func damage() throws {
    var random = SeededRandom(7)
    var pickles: [[UInt8]] = []
    for seed in 0..<20 { pickles.append(try RandomGraph(seed: seed, size: 40).graph.encoded()) }
    for pickle in pickles {
      for length in 0..<pickle.count {
        #expect(throws: PickleError.self) {
          try PickleGraph(decoding: Array(pickle[..<length]))
        }
      }
      for _ in 0..<400 {
        var changed = pickle
        for _ in 0...Int.random(in: 0...3, using: &random) {
          changed[Int.random(in: 0..<changed.count, using: &random)] = UInt8(
            truncatingIfNeeded: random.next())
        }
        // What can still be read can also be written, or is refused with an error.
        do {
          let graph = try PickleGraph(decoding: changed)
          _ = try PickleGraph(decoding: graph.encoded())
        } catch is PickleError {}
      }
    }
  }
}
