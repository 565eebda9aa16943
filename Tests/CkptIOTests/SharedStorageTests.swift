import CkptIO
import CkptIntegrity
import CkptPickle
import CkptPlatform
import CkptStateDicts
import CkptTensors
import CkptTestSupport
import Testing
import CkptZip

@Suite("What is written can be read again")
struct SharedStorageTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  @Test("Names that differ in their form of a character only are two names")
  func normalization() throws {
    let names = ["\u{E9}", "e\u{301}", "\u{212B}", "\u{C5}", "A\u{30A}"]
    var stateDict = StateDict()
    for (number, name) in names.enumerated() {
      stateDict[name] = try Tensor([Float(number)], shape: [1])
    }
    for ending in ["npz", "safetensors", "pt", "gguf"] {
      let path = folder.file("x." + ending)
      try Checkpoint(stateDict).write(to: path)
      let read = try Checkpoint(contentsOf: path).stateDict()
      #expect(
        Set(read.keys.map { Array($0.utf8) }) == Set(names.map { Array($0.utf8) }), "\(ending)")
      for (number, name) in names.enumerated() {
        let bytes = try #require(read[name]).contiguousBytes()
        #expect(bytes.withUnsafeBytes { $0.loadUnaligned(as: Float.self) } == Float(number))
      }
      #expect(try IntegrityReport(path).isIntact)
    }
    let folder = folder.file("x.dcp")
    try Checkpoint(stateDict).write(
      to: folder, options: WriteOptions(format: .distributed))
    #expect(
      try Set(Checkpoint(contentsOf: folder).stateDict(at: "/").keys.map { Array($0.utf8) })
        == Set(names.map { Array($0.utf8) }))
  }

  @Test("Tensors without elements stand anywhere in a GGUF file")
  func emptyTensors() throws {
    var random = SeededRandom(5)
    for round in 0..<40 {
      var stateDict = StateDict()
      for number in 0..<Int.random(in: 1...5, using: &random) {
        let count = Bool.random(using: &random) ? 0 : Int.random(in: 1...40, using: &random)
        stateDict["t\(number)"] = try Tensor([Float](repeating: 1, count: count), shape: [count])
      }
      let path = folder.file("\(round).gguf")
      try Checkpoint(stateDict).write(to: path)
      let read = try Checkpoint(contentsOf: path).stateDict()
      #expect(read.tensors.map(\.tensor.shape) == stateDict.tensors.map(\.tensor.shape))
      #expect(try contents(of: path).count.isMultiple(of: 32))
    }
  }

  @Test(
    "Objects that hold one another twice are too many to print, and refused before they are made")
  func sharedObjects() throws {
    for levels in [10, 30, 60, 150] {
      var graph = PickleGraph()
      var ref = graph.addInt(7)
      for _ in 0..<levels {
        ref = graph.addObject(.list, edits: [.append(ref), .append(ref)])
      }
      graph.root = ref
      let checkpoint = try Checkpoint(contentsOf: folder.archive(graph, []))
      guard levels > 10 else {
        #expect(try checkpoint.value(at: "/").type == "list")
        continue
      }
      let error = #expect(throws: CheckpointError.self) { try checkpoint.value(at: "/") }
      guard case .tooManyValues? = error else {
        Issue.record("another error")
        continue
      }
    }
  }

  /// A tensor of four elements on storage 0, which has 32 bytes, through a persistent id of a class and a count.
  private func tensor(
    _ className: String, _ count: Int, in graph: inout PickleGraph
  ) -> PickleGraph.Ref {
    let id = graph.addTuple([
      graph.addString("storage"), graph.addGlobal("torch", className), graph.addString("0"),
      graph.addString("cpu"), graph.addInt(count),
    ])
    let storage = graph.add(.persistentID(id))
    let size = graph.addTuple([graph.addInt(4)])
    let stride = graph.addTuple([graph.addInt(1)])
    let hooks = graph.addObject(
      .reduce(
        callable: graph.addGlobal("collections", "OrderedDict"), arguments: graph.addTuple([])))
    let arguments = graph.addTuple([
      storage, graph.addInt(0), size, stride, graph.addBool(false), hooks,
    ])
    return graph.addObject(
      .reduce(
        callable: graph.addGlobal("torch._utils", "_rebuild_tensor_v2"), arguments: arguments))
  }

  @Test(
    "Two classes of one storage are refused, as torch.save does; what it claims is written anew")
  func classes() throws {
    let classes = [
      ("DoubleStorage", 4), ("FloatStorage", 8), ("LongStorage", 4), ("HalfStorage", 16),
    ]
    for (first, count) in classes {
      for (second, other) in classes {
        // A second id may claim less, as the last one that is left then.
        for claimed in [other, other / 2] {
          var graph = PickleGraph()
          let a = tensor(first, count, in: &graph)
          let b = tensor(second, claimed, in: &graph)
          let (key, otherKey) = (graph.addString("a"), graph.addString("b"))
          graph.root = graph.addObject(
            .dict, edits: [.setItem(key: key, value: a), .setItem(key: otherKey, value: b)])
          let path = try folder.archive(graph, [[UInt8](repeating: 0, count: 32)])
          guard first == second else {
            #expect(throws: CheckpointError.self) { try Checkpoint(contentsOf: path) }
            continue
          }
          for convert in [false, true] {
            var checkpoint = try Checkpoint(contentsOf: path)
            var stateDict = try checkpoint.stateDict()
            if convert {
              stateDict["a"] = try Tensor([1, 2] as [Float], shape: [2])
              try checkpoint.replaceStateDict(at: "/", with: stateDict)
            } else {
              try checkpoint.compact()
            }
            let out = folder.file("out.pt")
            try checkpoint.write(to: out, replacingExisting: true)
            #expect(try IntegrityReport(out).problems == [])
            #expect(try Checkpoint(contentsOf: out).stateDict().count == 2)
          }
        }
      }
    }
  }
}
