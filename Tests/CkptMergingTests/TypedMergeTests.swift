import CkptMerging
import CkptStateDicts
import CkptTensors
import Testing

/// A method with its parameters is the same merge as the method with settings by name.
@Suite struct TypedMergeTests {
  private let inputs: [MergeInput]

  init() throws {
    inputs = try [[1, 2, 3, 4], [2, 2, 5, 0], [0, -2, 4, 4]].enumerated().map { number, values in
      MergeInput(
        name: "\(number)",
        stateDict: StateDict(["w": try Tensor(values.map(Float.init), shape: [2, 2])]))
    }
  }

  private func numbers(_ merge: StateDictMerge) throws -> [Float] {
    try #require(try merge.merged().stateDict["w"]).floats()
  }

  @Test func `Weights are those of the inputs in their order`() throws {
    // 0.7 a + 0.3 b, by hand.
    let merge = try StateDictMerge(Array(inputs.prefix(2)), by: .linear(weights: [0.75, 0.25]))
    #expect(try numbers(merge) == [1.25, 2, 3.5, 3])
    #expect(
      try numbers(StateDictMerge(inputs, by: .linear(weights: [1], normalize: false)))
        == [3, 2, 12, 8])
  }

  @Test func `With a base the values count for the others`() throws {
    let typed = try StateDictMerge(
      inputs, by: .ties(base: 0, weights: [0.7, 0.3], densities: [0.5], lambda: 0.9))
    var named = StateDictMerge(method: .ties, inputs: inputs, base: 0)
    named.inputs[1].settings[.weight] = MergeSetting(0.7)
    named.inputs[2].settings[.weight] = MergeSetting(0.3)
    named.settings[.density] = MergeSetting(0.5)
    named.settings[.lambda] = MergeSetting(0.9)
    #expect(try numbers(typed) == numbers(named))
    #expect(typed.base == 0)
  }

  @Test func `Every method that merges is there, with no parameter that it does not take`() throws {
    let all: [(MergeMethod, TypedMerge, count: Int)] = [
      (.linear, .linear(weights: [0.5]), 3), (.slerp, .slerp(base: 0, t: 0.5), 2),
      (.nuslerp, .nuslerp(weights: [0.5, 0.5], flatten: false, rowWise: true), 2),
      (.multislerp, .multislerp(weights: [0.5]), 3),
      (.karcher, .karcher(maxIterations: 5, tolerance: 1e-3), 3),
      (.taskArithmetic, .taskArithmetic(base: 0, weights: [0.5], lambda: 0.5, normalize: true), 3),
      (.ties, .ties(base: 0, weights: [0.5], rescale: true), 3),
      (.dareLinear, .dare(base: 0, electing: false, weights: [0.5]), 3),
      (.dareTies, .dare(base: 0, electing: true, weights: [0.5], densities: [0.5]), 3),
      (.della, .della(base: 0, electing: true, weights: [0.5], epsilons: [0.1]), 3),
      (.dellaLinear, .della(base: 0, electing: false, weights: [0.5], normalize: true), 3),
      (.breadcrumbs, .breadcrumbs(base: 0, electing: false, weights: [0.5], gammas: [0.1]), 3),
      (.breadcrumbsTies, .breadcrumbs(base: 0, electing: true, weights: [0.5]), 3),
      (.sce, .sce(base: 0, selectTopK: 0.5), 3),
      (.modelStock, .modelStock(base: 0, filterWise: true), 3),
      (.nearswap, .nearswap(base: 0, t: 0.5), 2), (.arceeFusion, .arceeFusion(base: 0), 2),
      (.passthrough, .passthrough(scale: 2), 1), (.ema, .ema(decay: 0.9), 3), (.swa, .swa, 3),
    ]
    #expect(Set(all.map(\.0)) == Set(MergeMethod.allCases))
    for (method, typed, count) in all {
      let merge = try StateDictMerge(Array(inputs.prefix(count)), by: typed)
      #expect(merge.method == method)
      let given = merge.settings.values.keys + merge.inputs.flatMap(\.settings.values.keys)
      #expect(given.allSatisfy(method.parameters.contains), "\(method)")
      #expect(try numbers(merge).count == 4)
    }
  }

  @Test func `Another number of values than of inputs is refused`() {
    #expect(
      throws: MergeError.wrongInputs(
        method: "linear", problem: "has 2 values of weight for 3 inputs")
    ) { try StateDictMerge(inputs, by: .linear(weights: [1, 2])) }
  }
}
