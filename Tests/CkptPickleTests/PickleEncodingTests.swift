import CkptPickle
import CkptTestSupport
import Testing

@Suite("Graphs are written as Python writes them")
struct PickleEncodingTests {
  typealias Ref = PickleGraph.Ref

  @Test(
    "Random graphs: written, read and written again, the bytes are the same", arguments: 0..<300)
  func random(seed: Int) throws {
    let graph = RandomGraph(seed: seed, size: 1 + seed % 60).graph
    let first = try graph.encoded()
    let read = try PickleGraph(decoding: first)
    #expect(try read.encoded() == first)
    #expect(Self.isSame(try lowered(graph), read))
  }

  /// The graph as protocol 2 can say it, which is what reading its pickle gives.
  private func lowered(_ graph: PickleGraph) throws -> PickleGraph {
    try PickleGraph(decoding: graph.encoded())
  }

  /// Whether two graphs are the same from their roots on: the same values, and the same sharing.
  static func isSame(_ left: PickleGraph, _ right: PickleGraph) -> Bool {
    var pairs: [Ref: Ref] = [:]
    var open = [(left.root, right.root)]
    while let (one, other) = open.popLast() {
      if let known = pairs[one] {
        if known != other { return false }
        continue
      }
      pairs[one] = other
      guard isSameValue(left, one, right, other) else { return false }
      let (parts, others) = (left.parts(of: one), right.parts(of: other))
      guard parts.count == others.count else { return false }
      open += zip(parts, others)
    }
    return Set(pairs.values).count == pairs.count
  }

  private static func isSameValue(
    _ left: PickleGraph, _ one: Ref, _ right: PickleGraph, _ other: Ref
  ) -> Bool {
    switch (left[one], right[other]) {
    case (.none, .none), (.tuple, .tuple), (.persistentID, .persistentID): true
    case (.bool(let a), .bool(let b)): a == b
    case (.int(let a), .int(let b)): a == b
    case (.float(let a), .float(let b)): a == b
    case (.string(let a), .string(let b)), (.bigInt(let a), .bigInt(let b)),
      (.byteString(let a), .byteString(let b)):
      left.bytes(a) == right.bytes(b)
    case (.global, .global):
      left.global(one).map { "\($0)" } == right.global(other).map { "\($0)" }
    case (.object, .object): true
    default: false
    }
  }

  /// A pickle of one container with so many items.
  private func list(_ count: Int) throws -> [UInt8] {
    var graph = PickleGraph()
    let none = graph.add(.none)
    graph.root = graph.addObject(
      .list, edits: [PickleGraph.Edit](repeating: .append(none), count: count))
    return try graph.encoded()
  }

  @Test("Lists are filled in batches of a thousand, a single item alone")
  func batches() throws {
    let head: [UInt8] = [0x80, 2, 0x5D, 0x71, 0]
    let many = { (count: Int) in [0x28] + [UInt8](repeating: 0x4E, count: count) + [0x65] }
    #expect(try list(0) == head + [0x2E])
    #expect(try list(1) == head + [0x4E, 0x61, 0x2E])
    #expect(try list(2) == head + many(2) + [0x2E])
    #expect(try list(1000) == head + many(1000) + [0x2E])
    #expect(try list(1001) == head + many(1000) + many(1) + [0x2E])
  }

  @Test("Memo numbers above 255 take four bytes")
  func longMemo() throws {
    var graph = PickleGraph()
    let strings = (0..<300).map { graph.addString("s\($0)") }
    graph.root = graph.addTuple(strings + strings)
    let bytes = try graph.encoded()
    let read = try PickleGraph(decoding: bytes)
    let items = try #require(read.items(of: read.root))
    #expect(items.prefix(300).elementsEqual(items.suffix(300)))
    #expect(bytes.firstRange(of: [0x72, 0, 1, 0, 0]) != nil)
  }

  @Test("A cycle that no pickle can say is an error, not a loop")
  func tupleCycle() throws {
    var graph = PickleGraph()
    let first = graph.addTuple([])
    let second = graph.addTuple([first])
    // (((…))): a tuple that holds a tuple that holds the first.
    let tuple = graph[second]
    graph.replace(first, with: tuple)
    graph.root = first
    #expect(
      message(of: PickleError.self) { try graph.encoded() }
        == "a cycle of tuples cannot be written to a pickle")
  }

  @Test("A name with a line break cannot be written")
  func badName() throws {
    var graph = PickleGraph()
    graph.root = graph.addGlobal("os\nsystem", "x")
    #expect(
      message(of: PickleError.self) { try graph.encoded() }
        == "a global whose name has a line break cannot be written to a pickle")
  }

  @Test("A graph is a value: editing a copy leaves the original")
  func value() throws {
    let graph = try PickleGraph(decoding: Array("]I1\na.".utf8))
    var copy = graph
    let item = copy.addInt(2)
    copy.replaceBody(of: copy.root, with: .init(.list, edits: [.append(item)]))
    #expect(graph.ints(graph.root) == [1])
    #expect(copy.ints(copy.root) == [2])
  }
}
