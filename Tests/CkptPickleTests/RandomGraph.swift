import CkptPickle
import CkptTestSupport

/// A graph of random objects, with sharing and cycles, as a pickle could hold it.
struct RandomGraph {
  typealias Ref = PickleGraph.Ref

  private(set) var graph = PickleGraph()
  private var random: SeededRandom
  private var made: [Ref] = []

  init(seed: Int, size: Int) {
    random = SeededRandom(seed)
    for _ in 0..<size { made.append(makeObject()) }
    // Lists and dicts get further items last, so that some hold what holds them.
    for ref in made where random.next() % 3 == 0 {
      guard var body = graph.body(of: ref), isPlainContainer(body) else { continue }
      let item = pick()
      if case .list = body.construction { body.edits.append(.append(item)) }
      if case .dict = body.construction {
        body.edits.append(.setItem(key: graph.addString("late"), value: item))
      }
      graph.replaceBody(of: ref, with: body)
    }
    let items = made
    graph.root = graph.addObject(.list, edits: items.map { .append($0) })
  }

  private func isPlainContainer(_ body: PickleGraph.Body) -> Bool {
    switch body.construction {
    case .list, .dict: true
    default: false
    }
  }

  private mutating func pick() -> Ref {
    made.randomElement(using: &random) ?? graph.add(.none)
  }

  private mutating func items() -> [Ref] {
    (0..<Int.random(in: 0...5, using: &random)).map { _ in pick() }
  }

  private mutating func makeObject() -> Ref {
    switch random.next() % 17 {
    case 0: return graph.add(.none)
    case 1: return graph.addBool(random.next() % 2 == 0)
    case 2: return graph.addInt(Int(truncatingIfNeeded: random.next()))
    case 3: return graph.addInt(Int.random(in: -300...70_000, using: &random))
    case 4: return graph.add(.float(random.next()))
    case 5: return graph.add(.bigInt(graph.intern(random.bytes(11) + [0x55])))
    case 6: return graph.addString("key \(random.next() % 100) ü 😀")
    case 7: return graph.add(.bytes(graph.intern(random.bytes(Int(random.next() % 300)))))
    case 8: return graph.add(.byteArray(graph.intern(random.bytes(Int(random.next() % 9)))))
    case 9: return graph.addTuple(items())
    case 10: return graph.addObject(.list, edits: items().map { .append($0) })
    case 11:
      return graph.addObject(
        .dict, edits: items().map { .setItem(key: graph.addInt(made.count), value: $0) })
    case 12: return graph.addObject(.set, edits: items().map { .add($0) })
    case 13: return graph.addObject(.frozenSet(items: graph.addTuple(items())))
    case 14:
      let cls = graph.addGlobal("module", "Class\(random.next() % 5)")
      return graph.addObject(
        .reduce(callable: cls, arguments: graph.addTuple(items())), edits: [.build(pick())])
    case 15:
      let cls = graph.addGlobal("some.module", "New")
      return graph.addObject(.newObject(cls: cls, arguments: graph.addTuple(items())))
    default: return graph.add(.persistentID(pick()))
    }
  }
}
