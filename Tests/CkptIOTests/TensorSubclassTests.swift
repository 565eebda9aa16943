import CkptIO
import CkptInspection
import CkptPickle
import StateDictKit
import CkptTestSupport
import Testing

@Suite("Tensors of other classes")
struct TensorSubclassTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// A state dict with one such tensor, `w`.
  private func file(
    _ module: String, _ name: String, shape: [Int], type: String = "float32", inner: [UInt8],
    attribute: String = "data", add: (inout PickleGraph) -> [PickleGraph.Edit] = { _ in [] }
  ) throws -> Checkpoint {
    var graph = PickleGraph()
    let strides = Tensor.contiguousStrides(for: shape) ?? []
    let arguments = [
      graph.addGlobal(module, name), graph.addGlobal("torch", type), graph.addInts(shape),
      graph.addInts(strides), graph.addInt(0), graph.add(.none), graph.add(.none),
      graph.addBool(false),
    ]
    let local = graph.addTensor(0, shape: [inner.count / 4])
    let key = graph.addString(attribute)
    let state = graph.addObject(.dict, edits: [.setItem(key: key, value: local)] + add(&graph))
    let call = [
      graph.addGlobal("torch._utils", "_rebuild_wrapper_subclass"), graph.addGlobal(module, name),
      graph.addTuple(arguments), state,
    ]
    let tensor = graph.addCall("torch._tensor", "_rebuild_from_type_v2", call)
    graph.root = graph.addDict(["w": tensor, "n": graph.addTensor(1, shape: [1])])
    return try Checkpoint(contentsOf: folder.archive(graph, [inner, [0, 0, 0, 0]]))
  }

  private let zeros: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0]
  private let ones: [UInt8] = [0, 0, 0x80, 0x3F, 0, 0, 0x80, 0x3F]

  @Test("Two of one class differ by their inner tensors, in diff and in hash")
  func inner() throws {
    let (a, same, b) = (
      try file("q", "Int8", shape: [2], inner: zeros).stateDict(),
      try file("q", "Int8", shape: [2], inner: zeros).stateDict(),
      try file("q", "Int8", shape: [2], inner: ones).stateDict()
    )
    #expect(try StateDictDifference(from: a, to: same).isEqual)
    let difference = try StateDictDifference(from: a, to: b)
    #expect(!difference.isEqual)
    #expect(difference.changed.map(\.key) == ["w/3/data"])
    #expect(try StateDictDigest(a).digest == StateDictDigest(same).digest)
    #expect(try StateDictDigest(a).digest != StateDictDigest(b).digest)
    #expect(try StateDictDigest(a).leftOut.isEmpty)
    let statistics = try StateDictStatistics(b)
    #expect(statistics.entries.map(\.key) == ["w/3/data", "n"])
    #expect(statistics.entries[0].statistics?.max == 1)
  }

  @Test("Class, attributes, shape and dtype count")
  func outside() throws {
    let a = try file("q", "Int8", shape: [2], inner: zeros).stateDict()
    let others = [
      try file("q", "Int4", shape: [2], inner: zeros),
      try file("q", "Int8", shape: [2, 1], inner: zeros),
      try file("q", "Int8", shape: [2], type: "float16", inner: zeros),
      try file("q", "Int8", shape: [2], inner: zeros, attribute: "other"),
      try file("q", "Int8", shape: [2], inner: zeros) { graph in
        [.setItem(key: graph.addString("block"), value: graph.addInt(4))]
      },
    ]
    for other in try others.map({ try $0.stateDict() }) {
      let difference = try StateDictDifference(from: a, to: other)
      #expect(difference.changedObjects == ["w"])
      #expect(!difference.isEqual)
      #expect(try StateDictDigest(a).digest != StateDictDigest(other).digest)
    }
  }

  @Test("load_state_dict's report compares shapes, dtypes and classes")
  func check() throws {
    let model = try file("q", "Int8", shape: [2], inner: zeros).stateDict()
    #expect(
      try file("q", "Int8", shape: [2], inner: ones).stateDict().validate(against: model).isLoadable
    )
    let shape = try file("q", "Int8", shape: [3], inner: zeros).stateDict().validate(against: model)
    #expect(shape.mismatched.map(\.key) == ["w"])
    #expect(!shape.isLoadable)
    let type = try file("q", "Int8", shape: [2], type: "float16", inner: zeros).stateDict()
    #expect(try type.validate(against: model).typeMismatched.map(\.key) == ["w"])
    let cls = try file("q", "Int4", shape: [2], inner: zeros).stateDict().validate(against: model)
    #expect(cls.classMismatched.map(\.key) == ["w"])
    #expect(!cls.isLoadable)
    var plain = model
    plain["w"] = try Tensor([Float(1), 2], shape: [2])
    #expect(try !plain.validate(against: model).isLoadable)
    #expect(try !model.validate(against: plain).isLoadable)
    plain["w"] = try Tensor([Float(1), 2, 3], shape: [3])
    #expect(try model.validate(against: plain).mismatched.map(\.key) == ["w"])
  }

  @Test("Nothing plain stands for a tensor with parts, and the error names it")
  func plain() throws {
    var checkpoint = try file("q", "Int8", shape: [2], inner: zeros)
    #expect {
      try checkpoint.makePlain()
    } throws: { error in
      guard case CheckpointError.cannotBePlain(_, let objects) = error else { return false }
      return objects == ["w (q.Int8)"]
    }
  }

  @Test("A DTensor is its local tensor if one rank has it all, and no plain tensor otherwise")
  func distributed() throws {
    for (ranks, shape, isWhole) in [([0], [2], true), ([0, 1], [2], false), ([0], [3], false)] {
      var checkpoint = try file(
        "torch.distributed.tensor", "DTensor", shape: shape, inner: ones, attribute: "_local_tensor"
      ) { graph in
        func object(_ module: String, _ name: String, _ state: PickleGraph.Ref) -> PickleGraph.Ref {
          let cls = graph.addGlobal(module, name)
          let nothing = graph.addTuple([])
          return graph.addObject(
            .newObject(cls: cls, arguments: nothing), edits: [.build(state)])
        }
        let index = "torch.distributed"
        let mesh = object(
          index, "DeviceMesh", graph.addDict(["_flatten_rank_map": graph.addInts(ranks)]))
        let shard = object(index, "Shard", graph.addDict(["dim": graph.addInt(0)]))
        let spec = object(
          index, "DTensorSpec",
          graph.addDict(["mesh": mesh, "placements": graph.addTuple([shard])]))
        return [.setItem(key: graph.addString("_spec"), value: spec)]
      }
      let tensor = try checkpoint.stateDict()["w"]
      #expect(try (tensor?.floats() == [1, 1]) == isWhole)
      guard isWhole else {
        #expect(throws: CheckpointError.self) { try checkpoint.makePlain() }
        continue
      }
      #expect(try checkpoint.makePlain().map(\.path) == ["w"])
      let path = folder.file("plain.pt")
      try checkpoint.write(to: path, replacingExisting: true)
      #expect(try Checkpoint(contentsOf: path).value(at: "w").type == "tensor")
      #expect(try Checkpoint(contentsOf: path).stateDict()["w"]?.floats() == [1, 1])
    }
  }

  @Test("Of objects without tensors the values count")
  func values() throws {
    func stateDict(_ value: Int) throws -> StateDict {
      var graph = PickleGraph()
      graph.root = graph.addDict(["n": graph.addTensor(0, shape: [1]), "x": graph.addInt(value)])
      return try Checkpoint(contentsOf: folder.archive(graph, [[0, 0, 0, 0]])).stateDict()
    }
    #expect(try StateDictDifference(from: stateDict(1), to: stateDict(1)).isEqual)
    #expect(try !StateDictDifference(from: stateDict(1), to: stateDict(2)).isEqual)
  }

  @Test("What is too large to be told is not called equal")
  func large() throws {
    var graph = PickleGraph()
    var inner = graph.addObject(.dict)
    for _ in 0..<60 {
      inner = graph.addDict(["a": inner, "b": inner])
    }
    graph.root = graph.addDict(["n": graph.addTensor(0, shape: [1]), "x": inner])
    let stateDict = try Checkpoint(contentsOf: folder.archive(graph, [[0, 0, 0, 0]])).stateDict(
      at: "/")
    let difference = try StateDictDifference(from: stateDict, to: stateDict)
    #expect(difference.notCompared == ["x"])
    #expect(!difference.isEqual)
  }
}
