import CkptStateDicts
import Testing
import TrainingCore

@Suite struct InitializationTests {
  @Test func `A layer begun anew has PyTorch's default distribution and other numbers`() throws {
    let random = RandomSource(seed: 5)
    let model = Sequential(
      try Conv2d(16, 32, kernelSize: 3, from: random), try BatchNorm2d(32),
      try Embedding(50, 40, paddingIndex: 3, from: random), try Linear(400, 50, from: random))
    _ = try model.modules[1].module(Variable.normal([4, 32, 2, 2], from: random))
    let before = try model.stateDict().tensors.map { try Variable($0.tensor).doubles() }
    let keys = try model.stateDict().keys
    try model.resetParameters(from: random)
    for (key, old) in zip(keys, before) {
      let new = try Variable(#require(model.stateDict()[key])).doubles()
      switch key {
      case "0.weight", "0.bias", "3.weight", "3.bias":
        // kaiming_uniform_(a=√5) and the bias lie evenly within 1 / √fan-in.
        let bound = 1 / (key.hasPrefix("0") ? 144.0 : 400).squareRoot()
        #expect(new != old)
        #expect(new.allSatisfy { abs($0) <= bound })
        let deviation = (new.reduce(0) { $0 + $1 * $1 } / Double(new.count)).squareRoot()
        let tolerance = 3 / Double(new.count).squareRoot()
        #expect(abs(deviation * 3.0.squareRoot() / bound - 1) < tolerance, "\(key)")
      case "2.weight":
        #expect(new[120..<160].allSatisfy { $0 == 0 })
        let deviation = (new.reduce(0) { $0 + $1 * $1 } / 1960).squareRoot()
        #expect(abs(deviation - 1) < 0.08)
      case "1.weight", "1.running_var": #expect(new.allSatisfy { $0 == 1 })
      default: #expect(new.allSatisfy { $0 == 0 }, "\(key)")
      }
    }
  }

  @Test func `The same seed draws the same numbers, whatever is looked at first`() throws {
    let first = try (0..<2).map { _ in RandomSource(seed: 9) }.map { random in
      (try Linear(3, 4, from: random), try Linear(4, 5, from: random))
    }
    let a = try (first[0].0.weight.floats(), first[0].1.weight.floats())
    let b = try (first[1].1.weight.floats(), first[1].0.weight.floats())
    #expect(a.0 == b.1 && a.1 == b.0)
  }
}
