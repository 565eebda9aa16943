import StateDictKit
import CkptTestSupport
import Testing

@Suite("Which way round an adapter's base stores its weights")
struct OrientationTests {
  private func zeros(_ shape: [Int]) throws -> Tensor {
    try Tensor([Float](repeating: 0, count: shape.reduce(1, *)), shape: shape)
  }

  /// [10, 21] times [1, 2]ᵀ, for a weight of 2 by 2.
  private func adapter(_ module: String) throws -> [(String, Tensor)] {
    [
      ("\(module).lora_A.weight", try Tensor([10, 21] as [Float], shape: [1, 2])),
      ("\(module).lora_B.weight", try Tensor([1, 2] as [Float], shape: [2, 1])),
    ]
  }

  /// GPT-2 in small: what is square there, and what is not.
  private func gpt() throws -> StateDict {
    StateDict([
      "h.0.attn.c_attn.weight": try zeros([2, 6]), "h.0.attn.c_attn.bias": try zeros([6]),
      "h.0.attn.c_proj.weight": try zeros([2, 2]), "h.0.attn.c_proj.bias": try zeros([2]),
      "h.0.attn.extra.weight": try zeros([2, 2]), "h.0.attn.extra.bias": try zeros([2]),
      "h.0.mlp.c_proj.weight": try zeros([8, 2]), "h.0.mlp.c_proj.bias": try zeros([2]),
      "score.weight": try zeros([2, 2]), "classifier.weight": try zeros([2, 2]),
      "classifier.bias": try zeros([2]),
    ])
  }

  @Test(
    "A square weight is as its namesakes or neighbors are; one without a bias is a Linear's",
    arguments: [
      ("h.0.attn.c_proj", true), ("h.0.attn.extra", true), ("score", false),
    ], [true, false, nil] as [Bool?])
  func square(module: (String, Bool), flag: Bool?) throws {
    let json = flag.map { #"{"lora_alpha": 1, "fan_in_fan_out": \#($0)}"# } ?? #"{"lora_alpha": 1}"#
    let result = try LowRank.merged(try adapter(module.0), json, into: try gpt())
    #expect(
      try result.stateDict["\(module.0).weight"]?.floats()
        == (module.1 ? [10, 20, 21, 42] : [10, 21, 20, 42]))
  }

  @Test("Where nothing tells, or all that tells is contradicted, it is asked for")
  func unclear() throws {
    #expect(
      try LowRank.problems(try adapter("classifier"), into: try gpt()).contains("fan_in_fan_out"))
    let alone = StateDict(["q.weight": try zeros([2, 2])])
    let json = #"{"lora_alpha": 1, "fan_in_fan_out": true}"#
    #expect(try LowRank.problems(try adapter("q"), json, into: alone).contains("fan_in_fan_out"))
  }

  @Test("Without any Conv1D in the base the flag counts, and else it is a Linear")
  func flag() throws {
    let base = StateDict(["q.weight": try zeros([2, 2]), "q.bias": try zeros([2])])
    for (json, wanted) in [
      (#"{"lora_alpha": 1, "fan_in_fan_out": true}"#, [10, 20, 21, 42] as [Float]),
      (#"{"lora_alpha": 1}"#, [10, 21, 20, 42]),
    ] {
      let result = try LowRank.merged(try adapter("q"), json, into: base)
      #expect(try result.stateDict["q.weight"]?.floats() == wanted)
    }
  }

  @Test("A product that fits only turned round needs a bias that says the same")
  func notSquare() throws {
    let pair = [
      ("q.lora_A.weight", try Tensor([10, 21] as [Float], shape: [1, 2])),
      ("q.lora_B.weight", try Tensor([1, 2, 3] as [Float], shape: [3, 1])),
    ]
    let good = StateDict(["q.weight": try zeros([2, 3]), "q.bias": try zeros([3])])
    let result = try LowRank.merged(pair, into: good)
    #expect(try result.stateDict["q.weight"]?.floats() == [10, 20, 30, 21, 42, 63])
    let bad = StateDict(["q.weight": try zeros([2, 3]), "q.bias": try zeros([2])])
    #expect(try LowRank.problems(pair, into: bad).contains("bias"))
  }
}
