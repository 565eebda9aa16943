import CkptIO
import CkptPickle
import StateDictKit
import CkptTestSupport
import Testing

@Suite("Scales and zero points of quantized tensors")
struct QuantizerTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// A tensor of two rows of `qint8`, quantized by rows.
  private func tensor(
    _ scheme: String, zeroPoints: [Double], scales: [Double] = [1, 2], axis: Int = 0
  ) throws -> Tensor? {
    var graph = PickleGraph()
    func list(_ numbers: [Double]) -> PickleGraph.Ref {
      let edits = numbers.map { PickleGraph.Edit.append(graph.add(.float($0.bitPattern))) }
      return graph.addObject(.list, edits: edits)
    }
    let quantizer = [
      graph.addGlobal("torch", scheme), list(scales), list(zeroPoints), graph.addInt(axis),
    ]
    let arguments = [
      graph.addStorage("QInt8Storage", 0, count: 4), graph.addInt(0), graph.addInts([2, 2]),
      graph.addInts([2, 1]), graph.addTuple(quantizer), graph.addBool(false), graph.addHooks(),
    ]
    let tensor = graph.addCall("torch._utils", "_rebuild_qtensor", arguments)
    graph.root = graph.addDict(["w": tensor])
    return try Checkpoint(contentsOf: folder.archive(graph, [[1, 2, 3, 4]])).stateDict()["w"]
  }

  @Test(
    "Zero points that are no whole numbers are refused where PyTorch's are integers",
    arguments: [1.5, .nan, .infinity, -.infinity, 1e300])
  func whole(zeroPoint: Double) throws {
    #expect(throws: CheckpointError.self) {
      try tensor("per_channel_affine", zeroPoints: [0, zeroPoint])
    }
  }

  @Test("Zero points that are floats stay floats", arguments: [1.5, 0, .nan, .infinity])
  func floats(zeroPoint: Double) throws {
    let read = try #require(
      try tensor("per_channel_affine_float_qparams", zeroPoints: [0, zeroPoint]))
    guard case .perChannelFloat(let axis, let scales, let zeroPoints)? = read.quantization else {
      Issue.record("\(String(describing: read.quantization))")
      return
    }
    #expect(axis == 0)
    #expect(scales == [1, 2])
    #expect(zeroPoints[1] == zeroPoint || zeroPoints[1].isNaN && zeroPoint.isNaN)
    // A tensor without an origin is written anew.
    var new = read
    new.origin = nil
    var stateDict = StateDict()
    stateDict["w"] = new
    let path = folder.file("new.pt")
    try Checkpoint(stateDict).write(to: path, replacingExisting: true)
    let written = try #require(try Checkpoint(contentsOf: path).stateDict()["w"])
    guard case .perChannelFloat(0, [1, 2], let again)? = written.quantization else {
      Issue.record("\(String(describing: written.quantization))")
      return
    }
    #expect(again[1] == zeroPoint || again[1].isNaN && zeroPoint.isNaN)
    #expect(try written.contiguousBytes() == [1, 2, 3, 4])
  }

  @Test("Parameters that do not fit the tensor are refused")
  func misfits() {
    for (scales, zeroPoints, axis) in [
      ([1.0], [0.0, 0], 0), ([1, 2], [0], 0), ([1, 2], [0, 0], 2), ([1, 2], [0, 0], -1),
    ] {
      #expect(throws: CheckpointError.self) {
        try tensor("per_channel_affine", zeroPoints: zeroPoints, scales: scales, axis: axis)
      }
    }
    #expect(throws: CheckpointError.self) {
      try tensor("per_channel_symmetric", zeroPoints: [0, 0])
    }
  }
}
