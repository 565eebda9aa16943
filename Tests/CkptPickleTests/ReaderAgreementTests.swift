import CkptPickle
import CkptTestSupport
import Testing

@Suite("Pickles are read as CPython's unpicklers read them")
struct ReaderAgreementTests {
  private func decoded(_ opcodes: [UInt8]) throws -> PickleGraph {
    try PickleGraph(decoding: opcodes)
  }

  /// The value that CPython 3.11 loads, where the C module and `pickle.py` agree; nil where one
  /// fails, or loads another type.
  @Test(
    "A number in text is read only where every reader reads the same",
    arguments: [
      ("I0", "0"), ("I1", "1"), ("I-1", "-1"), ("I+5", "5"), ("I0x10", nil), ("I010", nil),
      ("I+1", nil), ("I-0", nil), ("I 5", nil), ("I1_0", nil), ("I5L", nil), ("I0b1", nil),
      ("I1\u{0}2", nil), ("I08", nil), ("L5L", "5"), ("L5", "5"), ("L-0L", "0"), ("L1_0L", nil),
      ("L", nil), ("L5LL", nil), ("L0o7L", nil),
      ("I123456789012345678901234567890", "123456789012345678901234567890"),
    ] as [(String, String?)])
  func integers(line: String, value: String?) throws {
    let pickle = Array((line + "\n.").utf8)
    guard let value else {
      #expect(throws: PickleError.self) { try decoded(pickle) }
      return
    }
    let graph = try decoded(pickle)
    #expect(graph.decimal(graph.root) == value)
  }

  @Test(
    "A float in text is read only where every reader reads the same",
    arguments: [
      ("F1.5", 1.5), ("F-1e300", -1e300), ("F.5", 0.5), ("F5.", 5), ("F+1E5", 1e5),
      ("Finf", .infinity), ("F-Infinity", -.infinity), ("F1_0.5", nil), ("F 1", nil), ("F1 ", nil),
      ("F0x1p3", nil), ("F1e999", nil), ("F", nil), ("F.", nil), ("F1e", nil), ("F1\u{0}", nil),
    ] as [(String, Double?)])
  func floats(line: String, value: Double?) throws {
    let pickle = Array((line + "\n.").utf8)
    guard let value else {
      #expect(throws: PickleError.self) { try decoded(pickle) }
      return
    }
    let graph = try decoded(pickle)
    guard case .float(let bits) = graph[graph.root] else {
      Issue.record("no float")
      return
    }
    #expect(bits == value.bitPattern)
  }

  @Test(
    "A memo number in text may have what Python's int() accepts",
    arguments: [
      ("7", true), ("007", true), (" 7 ", true), ("+7", true), ("7\u{0}", false), ("-7", false),
    ])
  func memoNumbers(digits: String, isRead: Bool) throws {
    let pickle = Array("K\u{5}q\u{7}0g\(digits)\n.".utf8)
    if isRead {
      let graph = try decoded(pickle)
      #expect(graph.int(graph.root) == 5)
    } else {
      #expect(throws: PickleError.self) { try decoded(pickle) }
    }
  }

  @Test("MEMOIZE takes the number of entries in the memo, also where numbers were left out")
  func memoHoles() throws {
    // BINPUT 2 and 5, then MEMOIZE: the third entry gets the number 2.
    let graph = try decoded(
      Array("K\u{1}q\u{2}0K\u{2}q\u{5}0K\u{3}".utf8) + [0x94] + Array("0h\u{2}.".utf8))
    #expect(graph.int(graph.root) == 3)
    // A number given twice is one entry; one far away counts, too.
    let far: [UInt8] = [0x4B, 1, 0x71, 0, 0x71, 0, 0x72, 0, 0, 1, 0, 0x30, 0x4B, 4, 0x94, 0x30]
    let other = try decoded(far + Array("h\u{2}.".utf8))
    #expect(other.int(other.root) == 4)
  }

  @Test("An opcode or argument that crosses the end of its frame is refused")
  func frames() throws {
    func framed(_ length: UInt8, _ rest: [UInt8]) -> [UInt8] {
      [0x80, 4, 0x95, length, 0, 0, 0, 0, 0, 0, 0] + rest
    }
    let text: [UInt8] = [0x8C, 3, 0x61, 0x62, 0x63, 0x2E]
    for length in [0, 6] as [UInt8] {
      let graph = try decoded(framed(length, text))
      #expect(graph.text(graph.root) == "abc")
    }
    // A frame may end between two opcodes, and between an opcode and its argument.
    for length in [1, 2, 5] as [UInt8] {
      let graph = try decoded(framed(length, text))
      #expect(graph.text(graph.root) == "abc")
    }
    for length in [3, 4] as [UInt8] {
      #expect(throws: PickleError.self) { try decoded(framed(length, text)) }
    }
    #expect(throws: PickleError.self) { try decoded(framed(7, text)) }
    // A line across the end, a number across the end, and a frame in a frame.
    #expect(throws: PickleError.self) { try decoded(framed(3, Array("cab\nc\n.".utf8))) }
    #expect(throws: PickleError.self) { try decoded(framed(2, [0x4A, 1, 0, 0, 0, 0x2E])) }
    #expect(throws: PickleError.self) {
      try decoded(framed(20, [0x95] + [UInt8](repeating: 0, count: 8) + text))
    }
  }

  @Test("A str of Python 2 can be the name of a global")
  func byteNames() throws {
    let graph = try decoded(Array("U\u{1}mU\u{1}n".utf8) + [0x93, 0x2E])
    let name = graph.global(graph.root)
    #expect(name?.module == "m" && name?.name == "n")
    #expect(throws: PickleError.self) { try decoded(Array("C\u{1}mU\u{1}n".utf8) + [0x93, 0x2E]) }
  }

  @Test(
    "A name without a letter is refused, and one of INST that is no ASCII",
    arguments: ["c\nn\n.", "cm\n\n.", "(i\nn\n.", "(imé\nn\n."])
  func names(pickle: String) {
    #expect(throws: PickleError.self) { try decoded(Array(pickle.utf8)) }
  }
}
