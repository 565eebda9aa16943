import CkptText
import CkptPickle
import StateDictKit
import CkptTestSupport
import Testing

@testable import CkptIO

@Suite("An edit at a path changes what that path leads to alone")
struct SharedObjectTests {
  private func tensor(_ value: Float) throws -> Tensor { try Tensor([value], shape: [1]) }

  private func dict(
    _ entries: [(String, PickleGraph.Ref)], in checkpoint: inout Checkpoint
  ) -> PickleGraph.Ref {
    let edits = entries.map { key, value in
      PickleGraph.Edit.setItem(key: checkpoint.graph.addString(key), value: value)
    }
    return checkpoint.graph.addObject(.dict, edits: edits)
  }

  private func json(_ checkpoint: Checkpoint) throws -> JSONValue {
    try checkpoint.value(at: "/").value
  }

  /// The value with another one at a path of keys and indices.
  private func replacing(
    _ value: JSONValue, at steps: ArraySlice<String>, with new: JSONValue
  ) -> JSONValue {
    guard let step = steps.first else { return new }
    switch value {
    case .object(let members):
      return .object(
        members.map { member in
          member.name == step
            ? .init(member.name, replacing(member.value, at: steps.dropFirst(), with: new)) : member
        })
    case .array(let items):
      return .array(
        items.enumerated().map { position, item in
          "\(position)" == step ? replacing(item, at: steps.dropFirst(), with: new) : item
        })
    default: return value
    }
  }

  @Test("In random graphs of shared dicts, lists, tuples and wrappers", arguments: 0..<60)
  func random(seed: Int) throws {
    var random = SeededRandom(seed)
    var checkpoint = try Checkpoint(StateDict())
    var made: [PickleGraph.Ref] = []
    for number in 0..<4 {
      let value = checkpoint.add(.tensor(try tensor(Float(number))))
      made.append(dict([("w\(number)", value), ("b", value)], in: &checkpoint))
    }
    let stateDicts = made
    for number in 0..<8 {
      let parts = (0..<3).map { _ in made[Int.random(in: made.indices, using: &random)] }
      let entries = parts.enumerated().map { ("k\($0)", $1) }
      switch number % 5 {
      case 0: made.append(checkpoint.graph.addTuple(parts))
      case 1: made.append(checkpoint.graph.addObject(.list, edits: parts.map { .append($0) }))
      case 2:
        let state = dict([("data", dict(entries, in: &checkpoint))], in: &checkpoint)
        let cls = checkpoint.graph.addGlobal("collections", "UserDict")
        let nothing = checkpoint.graph.addTuple([])
        made.append(
          checkpoint.graph.addObject(
            .newObject(cls: cls, arguments: nothing), edits: [.build(state)]))
      case 3:
        let pairs = entries.map { key, value in
          checkpoint.graph.addTuple([checkpoint.graph.addString(key), value])
        }
        let list = checkpoint.graph.addObject(.list, edits: pairs.map { .append($0) })
        let cls = checkpoint.graph.addGlobal("collections", "OrderedDict")
        let arguments = checkpoint.graph.addTuple([list])
        for _ in 0..<2 {
          made.append(checkpoint.graph.addObject(.reduce(callable: cls, arguments: arguments)))
        }
      default: made.append(dict(entries, in: &checkpoint))
      }
    }
    checkpoint.graph.root = dict(
      made.suffix(5).enumerated().map { ("r\($0)", $1) }, in: &checkpoint)
    let before = try json(checkpoint)
    // Every path that leads to a state dict.
    var paths: [[String]] = []
    var open: [([String], PickleGraph.Ref)] = [([], checkpoint.graph.root)]
    while let (steps, ref) = open.popLast() {
      if stateDicts.contains(ref) {
        paths.append(steps)
      } else {
        // A wrapper's dict is told as the wrapper.
        open += checkpoint.graph.children(of: ref).filter { $0.step != "data" }.map {
          (steps + [$0.step], $0.ref)
        }
      }
    }
    for steps in paths.prefix(12) {
      var edited = checkpoint
      let at = ObjectPath(steps: steps).written
      let old = try edited.stateDict(at: at)
      let new = try old.renamingKeys(.addPrefix("x."))
      let separated = try edited.replaceStateDict(at: at, with: new)
      let expected = replacing(before, at: steps[...], with: try json(edited, at))
      #expect(try json(edited) == expected, "\(at)")
      #expect(try edited.stateDict(at: at).keys == old.keys.map { "x." + $0 })
      // What is said to be one object no longer was one.
      for object in separated {
        for other in object.others {
          #expect(try checkpoint.resolve(object.path) == checkpoint.resolve(other))
          #expect(try edited.resolve(object.path) != edited.resolve(other))
        }
      }
      let target = try checkpoint.resolve(at)
      let positions = try paths.filter {
        try checkpoint.resolve(ObjectPath(steps: $0).written) == target
      }
      #expect(positions.count == 1 || !separated.isEmpty, "\(at)")
      #expect(try json(checkpoint) == before)
    }
  }

  private func json(_ checkpoint: Checkpoint, _ at: String) throws -> JSONValue {
    try checkpoint.value(at: at).value
  }

  @Test("Metadata that two state dicts have in common changes in one of them")
  func metadata() throws {
    let checkpoint = try Checkpoint(contentsOf: Fixtures.path("module_state_dict.pt"))
    var two = checkpoint
    let root = two.graph.root
    let copy = two.copyOne(root)
    two.graph.root = dict([("a", root), ("b", copy)], in: &two)
    let state = try two.stateDict(at: "a")
    let modules = try #require(state.metadata).map(\.module)
    let separated = try two.replaceStateDict(
      at: "a", with: state.renamingKeys(.addPrefix("x.")))
    #expect(separated.map(\.path) == ["a/_metadata"])
    #expect(separated.map(\.others) == [["b/_metadata"]])
    #expect(try two.stateDict(at: "b").metadata?.map(\.module) == modules)
    #expect(try two.stateDict(at: "a").metadata?.map(\.module) != modules)
  }

  @Test("What is set is seen at every place, as in Python; what does not change stays one object")
  func kept() throws {
    var checkpoint = try Checkpoint(StateDict())
    let state = dict([("w", checkpoint.add(.tensor(try tensor(1))))], in: &checkpoint)
    checkpoint.graph.root = dict([("a", state), ("b", state)], in: &checkpoint)
    try checkpoint.setValue(at: "a/n", to: .number("1"))
    #expect(try json(checkpoint, "b/n") == .number("1"))
    try checkpoint.removeValue(at: "b/n")
    var read = try Checkpoint(contentsOf: Fixtures.path("module_state_dict.pt"))
    read.graph.root = dict([("a", read.graph.root), ("b", read.graph.root)], in: &read)
    let same = try read.replaceStateDict(at: "a", with: read.stateDict(at: "a"))
    #expect(same.isEmpty)
    #expect(try read.resolve("a") == read.resolve("b"))
  }
}
