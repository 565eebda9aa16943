import CkptText
import CkptPickle
import CkptTestSupport
import Testing

@testable import CkptIO

/// An object that Python pickled, and what is in it; see `fixtures/object_forms.py`.
struct PickledForm: Decodable, Sendable, CustomTestStringConvertible {
  let form, kind, pickle, content: String
  let `protocol`: Int

  var testDescription: String { "\(form), protocol \(`protocol`)" }

  static let all = (try? Fixtures.decode([PickledForm].self, from: "forms/forms.json")) ?? []

  func graph() throws -> PickleGraph {
    let digits = Array(pickle.utf8)
    let bytes = stride(from: 0, to: digits.count - 1, by: 2).compactMap {
      UInt8(String(decoding: digits[$0..<$0 + 2], as: UTF8.self), radix: 16)
    }
    return try PickleGraph(decoding: bytes)
  }

  func value() throws -> JSONValue { try JSONValue(parsing: content) }
}

@Suite("An object is read and edited as what it is to Python, whatever form its pickle has")
struct ObjectFormTests {
  private func json(_ ref: PickleGraph.Ref, _ graph: PickleGraph) -> JSONValue {
    switch graph[ref] {
    case .none: return .null
    case .string, .byteString: return .string(graph.text(ref) ?? "")
    case .float(let bits): return .number("\(Double(bitPattern: bits))")
    default:
      if let decimal = graph.decimal(ref) { return .number(decimal) }
      return .array((graph.sequence(ref) ?? []).map { json($0, graph) })
    }
  }

  /// The items, entries or attributes of the root.
  private func content(_ graph: PickleGraph, _ kind: String) -> JSONValue {
    if let entries = graph.entries(of: graph.root) { return object(entries, graph) }
    if let items = graph.sequence(graph.root) { return .array(items.map { json($0, graph) }) }
    return object(graph.attributes(of: graph.root), graph)
  }

  private func object(_ entries: [PickleGraph.Entry], _ graph: PickleGraph) -> JSONValue {
    .object(entries.map { .init(graph.text($0.key) ?? "?", json($0.value, graph)) })
  }

  private func written(_ graph: PickleGraph) throws -> PickleGraph {
    try PickleGraph(decoding: graph.encoded())
  }

  @Test("All forms are there") func forms() {
    #expect(Set(PickledForm.all.map(\.form)).count == 34)
    #expect(Set(PickledForm.all.map(\.protocol)) == Set(0...5))
  }

  @Test("What is in it is seen, also after it was written anew", arguments: PickledForm.all)
  func read(form: PickledForm) throws {
    let graph = try form.graph()
    #expect(try content(graph, form.kind) == form.value())
    #expect(try content(written(graph), form.kind) == form.value())
  }

  @Test(
    "An entry is set, added and removed, and nothing else changes",
    arguments: PickledForm.all.filter { $0.kind == "mapping" })
  func editMapping(form: PickledForm) throws {
    guard case .object(let members) = try form.value() else { return }
    let before = try form.graph()
    for (position, member) in members.enumerated() {
      var graph = before
      let new = graph.addString("new")
      let wasSet = graph.setChild(member.name, of: graph.root, to: new)
      #expect(wasSet)
      var expected = members
      expected[position] = .init(member.name, .string("new"))
      try check(graph, .object(expected), like: before)

      graph = before
      let wasRemoved = graph.setChild(member.name, of: graph.root, to: nil)
      #expect(wasRemoved)
      expected.remove(at: position)
      try check(graph, .object(expected), like: before)
    }
    var graph = before
    let new = graph.addInt(7)
    let wasAdded = graph.setChild("z/z", of: graph.root, to: new)
    #expect(wasAdded)
    try check(graph, .object(members + [.init("z/z", .number("7"))]), like: before)
    // All keys under other names.
    graph = before
    let renamed = (graph.entries(of: graph.root) ?? []).reversed().map { key, value in
      (key: graph.addString("x." + (graph.text(key) ?? "")), value: value)
    }
    let wereRenamed = graph.setEntries(of: graph.root, to: renamed)
    #expect(wereRenamed)
    try check(
      graph, .object(members.reversed().map { .init("x." + $0.name, $0.value) }), like: before)
    graph = before
    let wereRemoved = graph.setEntries(of: graph.root, to: [])
    #expect(wereRemoved)
    // An empty object of an unknown class does not show that it is a mapping.
    if Self.unknown.contains(form.form) {
      let empty = try written(graph)
      #expect(empty.entries(of: empty.root)?.isEmpty != false)
    } else {
      try check(graph, .object([]), like: before)
    }
  }

  private static let unknown: Set = [
    "subclass", "subclass_note", "subclass_pairs", "ordered_subclass", "newobj", "easy", "twice",
  ]

  @Test(
    "An item is set, added and removed; fields of a fixed number are only set",
    arguments: PickledForm.all.filter { $0.kind != "mapping" })
  func editItems(form: PickledForm) throws {
    let before = try form.graph()
    switch try form.value() {
    case .array(let items):
      for position in items.indices {
        var graph = before
        let new = graph.addString("new")
        let wasSet = graph.setChild("\(position)", of: graph.root, to: new)
        #expect(wasSet)
        var expected = items
        expected[position] = .string("new")
        try check(graph, .array(expected), like: before)
        graph = before
        expected.remove(at: position)
        let isSet = graph.setChild("\(position)", of: graph.root, to: nil)
        #expect(isSet == (form.kind == "sequence"))
        try check(graph, .array(isSet ? expected : items), like: before)
      }
      var graph = before
      let new = graph.addString("new")
      let isSet = graph.setChild("\(items.count)", of: graph.root, to: new)
      #expect(isSet == (form.kind == "sequence"))
      try check(graph, .array(isSet ? items + [.string("new")] : items), like: before)
    case .object(let members):
      for (position, member) in members.enumerated() {
        var graph = before
        let new = graph.addString("new")
        let wasSet = graph.setChild(member.name, of: graph.root, to: new)
        #expect(wasSet)
        var expected = members
        expected[position] = .init(member.name, .string("new"))
        try check(graph, .object(expected), like: before)
      }
    default: Issue.record("neither an array nor an object")
    }
  }

  /// Whether a graph, and what is written of it, has what is expected, in an object of the same form.
  private func check(
    _ graph: PickleGraph, _ expected: JSONValue, like before: PickleGraph
  ) throws {
    #expect(content(graph, "") == expected)
    let again = try written(graph)
    #expect(content(again, "") == expected)
    #expect(again.className(of: again.root) == before.className(of: before.root))
    #expect(again.form(of: again.root).kind == before.form(of: before.root).kind)
    // Attributes that are no entries stay.
    let note = before.attribute("note", of: before.root).flatMap(before.text)
    #expect(again.attribute("note", of: again.root).flatMap(again.text) == note)
  }

  @Test("An attribute that an entry mirrors goes with it")
  func mirrors() throws {
    for form in PickledForm.all where form.form == "easy" && form.protocol > 1 {
      var graph = try form.graph()
      let new = graph.addString("new")
      let wasSet = graph.setChild("a.weight", of: graph.root, to: new)
      #expect(wasSet)
      #expect(graph.attribute("a.weight", of: graph.root).flatMap(graph.text) == "new")
      let wasRemoved = graph.setChild("b", of: graph.root, to: nil)
      #expect(wasRemoved)
      #expect(graph.attribute("b", of: graph.root) == nil)
    }
  }

  @Test("Keys are one as Python's are: the first place, the last value")
  func equalKeys() {
    var graph = PickleGraph()
    let one = graph.addInt(1)
    let pairs: [(PickleGraph.Ref, String)] = [
      (one, "1"), (graph.addString("a"), "a"), (graph.addBool(true), "True"),
      (graph.add(.float((1.0).bitPattern)), "1.0"), (graph.addString("1"), "text"),
      (graph.add(.byteString(graph.intern("a".utf8))), "a of Python 2"),
      (graph.add(.bytes(graph.intern("a".utf8))), "bytes"),
      (graph.add(.float((0.5).bitPattern)), "0.5"), (graph.add(.none), "None"),
      (graph.add(.float((-0.0).bitPattern)), "-0"), (graph.addBool(false), "False"),
      (graph.addTuple([one, one]), "tuple"), (graph.addTuple([graph.addBool(true), one]), "same"),
    ]
    let entries = pairs.map { (key: $0.0, value: graph.addString($0.1)) }
    graph.root = graph.addObject(.dict, edits: entries.map { .setItem(key: $0.0, value: $0.1) })
    let found = (graph.entries(of: graph.root) ?? []).map { graph.text($0.value) ?? "" }
    #expect(
      found == ["1.0", "a of Python 2", "text", "bytes", "0.5", "None", "False", "same"])
    #expect(graph.entries(of: graph.root)?.first?.key == one)
  }

  @Test("What a call makes of arguments that nobody knows is no mapping, rather than an empty one")
  func unknownArguments() {
    var graph = PickleGraph()
    let cls = graph.addGlobal("collections", "OrderedDict")
    let list = graph.addObject(.list, edits: [.append(cls)])
    for argument in [graph.addInt(3), graph.addString("ab"), list] {
      let ref = graph.addObject(.reduce(callable: cls, arguments: graph.addTuple([argument])))
      #expect(graph.entries(of: ref) == nil)
      let wasEmptied = graph.setEntries(of: ref, to: [])
      #expect(!wasEmptied)
    }
    // Wrappers that hold themselves end, too.
    let wrapper = graph.addObject(
      .newObject(cls: graph.addGlobal("collections", "UserDict"), arguments: graph.addTuple([])))
    let state = graph.addObject(
      .dict, edits: [.setItem(key: graph.addString("data"), value: wrapper)])
    graph.replaceBody(
      of: wrapper,
      with: .init(
        .newObject(cls: graph.addGlobal("collections", "UserDict"), arguments: graph.addTuple([])),
        edits: [.build(state)]))
    #expect(graph.entries(of: wrapper) == nil)
    var deep = graph.addObject(.dict)
    for _ in 0..<100_000 {
      deep = graph.addObject(.reduce(callable: cls, arguments: graph.addTuple([deep])))
    }
    #expect(graph.entries(of: deep) == nil)
  }
}
