import StateDictKit
import CkptStateDicts
import CkptTensors
import CkptTestSupport
import Testing
import TrainingCore

/// Figures of a real PyTorch; see `fixtures/training.py`.
struct TrainingFixture {
  let tensors: StateDict

  init(_ name: String) throws {
    tensors = try Checkpoint(contentsOf: Fixtures.path("training/\(name).pt")).stateDict()
  }

  /// The names of the cases, in order.
  var cases: [String] {
    var seen = Set<String>()
    return tensors.keys.compactMap { key in
      let name = String(key.prefix { $0 != "/" })
      return seen.insert(name).inserted ? name : nil
    }
  }

  /// A tensor of a case; nil if it has none of that name.
  func variable(_ key: String) throws -> Variable? { try tensors[key].map { try Variable($0) } }

  /// A tensor that must be there.
  func need(_ key: String) throws -> Variable { try #require(try variable(key), "\(key)") }

  /// The inputs of a case; gradients are wanted for all that are numbers.
  func inputs(_ name: String) throws -> [Variable] {
    var result: [Variable] = []
    while let input = try variable("\(name)/input\(result.count)") {
      input.requiresGrad = true
      result.append(input)
    }
    return result
  }

  /// What is below a prefix, without it.
  func dict(_ prefix: String) throws -> StateDict {
    var result = StateDict()
    for (key, tensor) in tensors.tensors where key.hasPrefix(prefix + "/") {
      result[String(key.dropFirst(prefix.count + 1))] = tensor
    }
    return result
  }
}

/// Expects numbers to be PyTorch's: off by at most `limit` of the largest of them.
func expectClose(
  _ found: Variable?, _ wanted: Variable, _ what: String, limit: Double = 1e-5,
  sourceLocation: SourceLocation = #_sourceLocation
) throws {
  guard let found else {
    Issue.record("\(what): there is none", sourceLocation: sourceLocation)
    return
  }
  #expect(found.shape == wanted.shape, "\(what)", sourceLocation: sourceLocation)
  let (values, expected) = (try found.doubles(), try wanted.doubles())
  guard values.count == expected.count else { return }
  let size = expected.lazy.filter(\.isFinite).map(\.magnitude).max() ?? 0
  var worst = 0.0
  for (value, right) in zip(values, expected) where value != right {
    let distance = (value - right).magnitude
    worst = distance.isNaN ? .infinity : max(worst, distance)
  }
  #expect(worst <= limit * max(size, 1e-3), "\(what)", sourceLocation: sourceLocation)
}
