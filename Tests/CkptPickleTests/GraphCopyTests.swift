import CkptPickle
import CkptTestSupport
import Testing

@Suite("Copies of a graph")
struct GraphCopyTests {
  /// A list of that many strings, from a pickle or made by hand.
  private func list(_ count: Int, decoded: Bool) throws -> PickleGraph {
    var graph = PickleGraph()
    let items = (0..<count).map { PickleGraph.Edit.append(graph.addString("item \($0)")) }
    graph.root = graph.addObject(.list, edits: items)
    return decoded ? try PickleGraph(decoding: graph.encoded()) : graph
  }

  private func texts(_ graph: PickleGraph) -> [String?] {
    (graph.body(of: graph.root)?.edits ?? []).map {
      if case .append(let ref) = $0 { graph.text(ref) } else { nil }
    }
  }

  @Test(
    "A copy that is edited leaves the original as it was, and the other way round",
    arguments: [1, 4095, 4096, 4097, 10_000], [false, true])
  func independent(count: Int, decoded: Bool) throws {
    var original = try list(count, decoded: decoded)
    let before = texts(original)
    #expect(before == (0..<count).map { "item \($0)" })

    var copy = original
    var body = try #require(copy.body(of: copy.root))
    guard case .append(let first) = body.edits[0] else { return }
    let new = copy.addString("new")
    copy.replace(first, with: copy[new])
    body.edits.append(.append(copy.addTuple([first, new])))
    copy.replaceBody(of: copy.root, with: body)
    #expect(texts(original) == before)
    #expect(texts(copy) == ["new"] + before.dropFirst() + [nil])

    let other = original.addString("other")
    original.replace(first, with: original[other])
    #expect(texts(original) == ["other"] + before.dropFirst())
    #expect(texts(copy) == ["new"] + before.dropFirst() + [nil])

    let again = try PickleGraph(decoding: copy.encoded())
    #expect(texts(again) == texts(copy))
    guard case .append(let last)? = again.body(of: again.root)?.edits.last else { return }
    #expect(again.items(of: last)?.map { again.text($0) } == ["new", "new"])
  }
}
