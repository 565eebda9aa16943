import CkptText
import CkptPatterns
import CkptIO
import CkptStateDicts
import CkptTensors
import CkptTestSupport
import Testing

@Suite("An optimizer is only touched where its parameters are certainly the edited model's")
struct OptimizerOwnerTests {
  /// A net of `nn.Linear`s as its state dict: from each width to the next.
  private func net(_ widths: [Int]) throws -> StateDict {
    var result = StateDict()
    for (number, (inputs, outputs)) in zip(widths, widths.dropFirst()).enumerated() {
      result["\(number).weight"] = try Tensor(
        [Float](repeating: 1, count: inputs * outputs), shape: [outputs, inputs])
      result["\(number).bias"] = try Tensor([Float](repeating: 1, count: outputs), shape: [outputs])
    }
    return result
  }

  /// Puts two nets and Adam's state of the first into one checkpoint; the state names its parameters if asked to.
  private func checkpoint(
    _ own: StateDict, _ other: StateDict, at positions: (String, String), recorded: Bool
  ) throws -> Checkpoint {
    var checkpoint = try Checkpoint(StateDict())
    _ = try checkpoint.setValue(at: "trainer", to: .object([]))
    for (index, stateDict) in [(positions.0, own), (positions.1, other)] {
      _ = try checkpoint.setValue(at: index, to: .object([]))
      try checkpoint.replaceStateDict(at: index, with: stateDict)
    }
    let numbers = own.keys.indices.map { "\($0)" }
    let names =
      recorded
      ? #", "param_names": [\#(own.keys.map { "\"\($0)\"" }.joined(separator: ", "))]"# : ""
    let json =
      #"{"state": {\#(numbers.map { "\"\($0)\": {}" }.joined(separator: ", "))}, "#
      + #""param_groups": [{"lr": 0.1, "params": [\#(numbers.joined(separator: ", "))]\#(names)}]}"#
    _ = try checkpoint.setValue(at: "optimizer", to: JSONValue(parsing: json))
    for (number, tensor) in own.tensors.map(\.tensor).enumerated() {
      var state = StateDict()
      state["exp_avg"] = try Tensor(
        [Float](repeating: Float(number), count: tensor.elementCount), shape: tensor.shape)
      try checkpoint.replaceStateDict(at: "optimizer/state/\(number)", with: state)
    }
    return checkpoint
  }

  /// The first number of what is kept for each parameter, by its id.
  private func kept(_ checkpoint: Checkpoint) throws -> [Float] {
    try checkpoint.optimizerState(at: "optimizer").parameters.compactMap { parameter in
      try parameter.state.first?.tensor?.contiguousBytes().withUnsafeBytes {
        $0.loadUnaligned(as: Float.self)
      }
    }
  }

  @Test("Of random pairs of nets, auto edits the optimizer's own net's and refuses where both fit")
  func pairs() throws {
    var random = SeededRandom(3)
    for round in 0..<80 {
      let widths = (0..<Int.random(in: 3...5, using: &random)).map { _ in
        Int.random(in: 2...4, using: &random)
      }
      let isEqual = Bool.random(using: &random)
      // The other net is the same, the same with a layer more, or another.
      let others = isEqual ? (Bool.random(using: &random) ? widths : widths + [3]) : [9, 8, 7]
      let positions =
        Bool.random(using: &random) ? ("student", "teacher") : ("trainer/model", "trainer/ema")
      let recorded = Bool.random(using: &random)
      let (own, other) = (try net(widths), try net(others))
      let before = try checkpoint(own, other, at: positions, recorded: recorded)
      let numbers = try kept(before)
      for (index, model) in [(positions.0, own), (positions.1, other)] {
        let report = try model.keyReport([.exclude([KeyPattern("under:1")])])
        var edited = before
        let others = try before.optimizerOwners(of: model, at: index)[0].others
        let behind = try before.optimizersLeftBehind(by: report, of: model, at: index)
        if isEqual {
          #expect(others == [index == positions.0 ? positions.1 : positions.0], "round \(round)")
          #expect(behind.first.map { !$0.others.isEmpty } ?? true)
          #expect(throws: OptimizerError.self) {
            try edited.letOptimizersFollow(report, of: model, at: index)
          }
          #expect(try kept(edited) == numbers)
        } else if index == positions.0 {
          #expect(behind.count == 1 && behind[0].others.isEmpty)
          let edits = try edited.letOptimizersFollow(report, of: model, at: index)
          #expect(edits.map(\.removed) == [["1.weight", "1.bias"]])
          #expect(try kept(edited) == numbers.filter { $0 != 2 && $0 != 3 })
        } else {
          #expect(behind.isEmpty)
          #expect(try edited.letOptimizersFollow(report, of: model, at: index).isEmpty)
          #expect(try kept(edited) == numbers)
        }
        // Whoever names the optimizer has it follow.
        if index == positions.0 {
          var chosen = before
          let edit = try chosen.letOptimizer(at: "optimizer", follow: report, of: model)
          #expect(edit.removed == ["1.weight", "1.bias"])
          #expect(
            try chosen.optimizerState(at: "optimizer", model: model.filter(exclude: "under:1"))
              .parameters.count == own.count - 2)
        }
      }
    }
  }
}
