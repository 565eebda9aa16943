import CkptPickle
import StateDictKit
import CkptTestSupport
import Testing

@testable import CkptIO

@Suite("A module that was saved whole has the state dict that state_dict() gives")
final class ModuleStateDictTests {
  typealias Ref = PickleGraph.Ref

  private var checkpoint: Checkpoint

  init() throws { checkpoint = try Checkpoint(StateDict()) }

  private func tensor(_ value: Float) throws -> Ref {
    checkpoint.add(.tensor(try Tensor([value], shape: [1])))
  }

  private func dict(_ entries: [(String, Ref)]) -> Ref {
    let edits = entries.map { key, value in
      PickleGraph.Edit.setItem(key: checkpoint.graph.addString(key), value: value)
    }
    return checkpoint.graph.addObject(.dict, edits: edits)
  }

  private func module(
    _ cls: String = "Net", parameters: [(String, Ref)] = [], buffers: [(String, Ref)] = [],
    modules: [(String, Ref)] = [], passing: [String] = []
  ) -> Ref {
    let names = passing.map { PickleGraph.Edit.add(checkpoint.graph.addString($0)) }
    let state = dict([
      ("training", checkpoint.graph.addBool(false)), ("_parameters", dict(parameters)),
      ("_buffers", dict(buffers)), ("_modules", dict(modules)),
      ("_non_persistent_buffers_set", checkpoint.graph.addObject(.set, edits: names)),
    ])
    let name = cls.split(separator: ".")
    let cls = checkpoint.graph.addGlobal(
      name.dropLast().joined(separator: "."), String(name.last ?? ""))
    return checkpoint.graph.addObject(
      .newObject(cls: cls, arguments: checkpoint.graph.addTuple([])), edits: [.build(state)])
  }

  @Test("Parameters, buffers that persist, then modules; shared ones under both names")
  func order() throws {
    let none = checkpoint.graph.add(.none)
    let shared = module(
      "torch.nn.modules.linear.Linear", parameters: [("weight", try tensor(1)), ("bias", none)])
    let norm = module(
      "torch.nn.modules.batchnorm.BatchNorm1d", parameters: [("weight", try tensor(2))],
      buffers: [("running_mean", try tensor(3)), ("num_batches_tracked", try tensor(4))])
    let (steps, mask) = (try tensor(6), try tensor(7))
    let root = module(
      parameters: [("scale", try tensor(5))], buffers: [("steps", steps), ("mask", mask)],
      modules: [("a", shared), ("gone", none), ("norm", norm), ("b", shared)], passing: ["mask"])
    checkpoint.graph.root = dict([("ema", root), ("epoch", checkpoint.graph.addInt(3))])
    #expect(try checkpoint.stateDictPath() == "ema")
    let found = try checkpoint.stateDict()
    #expect(
      found.keys == [
        "scale", "steps", "a.weight", "norm.weight", "norm.running_mean",
        "norm.num_batches_tracked", "b.weight",
      ])
    // Of a class of one's own, the file does not tell the version.
    #expect(found.metadata?.map(\.module) == ["a", "norm", "b"])
    #expect(found.metadata?.map(\.version) == [1, 2, 1])
    #expect(found.ties == [["a.weight", "b.weight"]])
    let written = try Checkpoint(found).stateDict()
    #expect(written.keys == found.keys)
    #expect(written.metadata?.map(\.version) == [1, 2, 1])
    let error = #expect(throws: CheckpointError.self) {
      var edited = checkpoint
      try edited.replaceStateDict(at: "ema", with: found)
    }
    #expect(error?.remedies.flatMap(\.actions) == [.extract])
    var plain = checkpoint
    let changes = try plain.makePlain()
    #expect(changes.map(\.path) == ["ema"])
    #expect(try plain.stateDict(at: "ema").keys == found.keys)
    #expect(try plain.needsPlainDict(at: "ema") == false)
  }

  @Test("Modules that hold themselves, nest without end or are shared without end are refused")
  func hostile() throws {
    let weight = try tensor(1)
    var deep = module(parameters: [("w", weight)])
    for _ in 0..<5000 { deep = module(modules: [("m", deep)]) }
    var wide = module(parameters: [("w", weight)])
    for _ in 0..<60 { wide = module(modules: [("a", wide), ("b", wide)]) }
    let name = String(repeating: "n", count: 1 << 20)
    var long = module(parameters: [("w", weight)])
    for _ in 0..<100 { long = module(modules: [(name, long)]) }
    let cycle = module()
    let state = dict([
      ("_parameters", dict([])), ("_buffers", dict([])), ("_modules", dict([("self", cycle)])),
    ])
    var body = try #require(checkpoint.graph.body(of: cycle))
    body.edits = [.build(state)]
    checkpoint.graph.replaceBody(of: cycle, with: body)
    let strange = module(modules: [("x", dict([]))])
    let quantized = module("torch.ao.nn.quantized.modules.linear.Linear")
    for root in [deep, wide, long, cycle, strange, quantized] {
      checkpoint.graph.root = root
      #expect(try checkpoint.stateDictPath() == "/")
      #expect(throws: CheckpointError.self) { try checkpoint.stateDict() }
    }
  }

  @Test("A TorchScript module goes through the same walk")
  func script() throws {
    var script = try Checkpoint(contentsOf: Fixtures.path("torchscript.pt"))
    let found = try script.stateDict()
    #expect(!found.isEmpty && found.metadata == nil)
    #expect(
      message(of: CheckpointError.self) { try script.replaceStateDict(at: "/", with: found) }
        == "a TorchScript archive cannot be written, since its code belongs to its weights (\(Fixtures.path("torchscript.pt")))"
    )
  }
}
