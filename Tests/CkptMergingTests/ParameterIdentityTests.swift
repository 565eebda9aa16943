import CkptBytes
import CkptPatterns
import StateDictKit
import CkptTestSupport
import Testing

@testable import CkptMerging

@Suite("Tied keys and parameters by key")
struct ParameterIdentityTests {
  /// Models whose keys `a` and `b` are one tensor, or two of the same numbers.
  private func models(tied: Bool) throws -> [StateDict] {
    var random = SeededRandom(5)
    return try (0..<4).map { _ in
      let numbers = (0..<60).map { _ in Float.random(in: -1...1, using: &random) }
      let own = try Tensor(numbers, shape: [6, 10])
      return try StateDict(["a": own, "b": tied ? own : Tensor(numbers, shape: [6, 10])])
    }
  }

  private func merge(_ method: MergeMethod, _ models: [StateDict]) -> StateDictMerge {
    var merge = StateDictMerge(
      method: method,
      inputs: models.prefix(method.inputCounts.upperBound).enumerated().map {
        MergeInput(name: "\($0)", stateDict: $1)
      }, base: method.baseUse == .required ? 0 : nil)
    merge.settings = MergeSettings([
      .weight: MergeSetting(0.6), .density: MergeSetting(0.4), .t: MergeSetting(0.3),
      .epsilon: MergeSetting(0.05), .gamma: MergeSetting(0.1), .selectTopK: MergeSetting(0.5),
      .decay: MergeSetting(0.9), .scale: MergeSetting(1.5),
    ])
    return merge
  }

  private func bytes(_ stateDict: StateDict, _ key: String) throws -> [UInt8] {
    let source = try #require(stateDict[key]).contiguousSource()
    if case .computed(let computed) = source { try computed.prepare() }
    return try source.bytes(in: 0..<source.byteCount)
  }

  @Test(
    "A parameter that differs between tied keys gives each its own result, and the broken tie is told",
    arguments: MergeMethod.allCases)
  func eachParameter(method: MergeMethod) throws {
    for parameter in method.parameters {
      var results: [StateDictMerge.Result] = []
      for isTied in [true, false] {
        var merge = merge(method, try models(tied: isTied))
        let (one, other) =
          parameter.isBoolean ? (1.0, 0.0) : parameter == .epsilon ? (0.25, 0.125) : (0.5, 0.375)
        let setting = MergeSetting([
          .init(pattern: try KeyPattern("is:a"), values: [one]), .init(values: [other]),
        ])
        if parameter.isPerInput {
          // The inputs' own, and not the same for each.
          merge.inputs[merge.inputs.count - 1].settings[parameter] = setting
        } else {
          merge.settings[parameter] = setting
        }
        results.append(try merge.merged())
      }
      for key in ["a", "b"] {
        #expect(
          try bytes(results[0].stateDict, key) == bytes(results[1].stateDict, key),
          "\(method.name) \(parameter.rawValue) \(key)")
      }
      #expect(results[0].stateDict.ties.isEmpty)
      #expect(results[0].brokenTies == [["a", "b"]])
    }
  }

  @Test("The same parameters keep tied keys tied", arguments: MergeMethod.allCases)
  func same(method: MergeMethod) throws {
    guard !method.isRandom else { return }
    let result = try merge(method, models(tied: true)).merged()
    #expect(result.stateDict.ties == [["a", "b"]] && result.brokenTies.isEmpty)
  }
}
