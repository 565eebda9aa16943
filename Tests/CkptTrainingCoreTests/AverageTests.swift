import CkptStateDicts
import CkptTestSupport
import Testing
import TrainingCore

/// Running averages of weights against PyTorch's `AveragedModel`.
@Suite struct AverageTests {
  static let decays: KeyValuePairs<String, Double> = [
    "slow": 0.999, "fast": 0.3, "half": 0.5, "none": 0, "all": 1,
  ]

  private func model() throws -> Sequential {
    let random = RandomSource(seed: 1)
    return Sequential(
      try Linear(7, 5, from: random), try BatchNorm1d(5),
      try Linear(5, 37, bias: false, from: random))
  }

  private func bits(_ state: StateDict) throws -> [String: [UInt64]] {
    Dictionary(
      uniqueKeysWithValues: try state.tensors.map {
        ($0.key, try Variable($0.tensor).doubles().map(\.bitPattern))
      })
  }

  @Test(arguments: decays.map(\.key))
  func `Averages are PyTorch's after each update`(name: String) throws {
    let fixture = try TrainingFixture("averages")
    let decay = try #require(Self.decays.first { $0.key == name }).value
    let model = try model()
    let average = try ExponentialMovingAverage(of: model, decay: decay)
    for step in 0..<3 {
      try model.load(fixture.dict("\(name)/\(step)/model"))
      let before = try bits(model.stateDict())
      try average.update()
      #expect(average.averagedCount == step + 1)
      #expect(try bits(model.stateDict()) == before)
      let wanted = try fixture.dict("\(name)/\(step)/average")
      let found = try average.stateDict()
      #expect(found.keys == wanted.keys)
      for (key, tensor) in wanted.tensors {
        let own = try Variable(#require(found[key]))
        let theirs = try Variable(tensor)
        #expect(own.shape == theirs.shape && own.scalarType == theirs.scalarType)
        // Processors without fused multiplication round once more.
        let start = try fixture.variable("\(name)/\(max(step - 1, 0))/average/\(key)")
        for (i, (own, theirs)) in try zip(own.floats(), theirs.floats()).enumerated() {
          let scale = max(theirs.magnitude, Float(try #require(start).doubles()[i].magnitude))
          #expect((own - theirs).magnitude <= scale.ulp, "\(key)[\(i)] after update \(step)")
        }
      }
    }
  }

  @Test func `In 64 bits averages follow the same formula`() throws {
    let fixture = try TrainingFixture("averages")
    for (name, decay) in Self.decays {
      let model = try model()
      try model.convert(to: .float64)
      let average = try ExponentialMovingAverage(of: model, decay: decay)
      for step in 0..<3 {
        try model.load(fixture.dict("\(name)/\(step)/model"))
        try average.update()
      }
      for (key, tensor) in try fixture.dict("\(name)/2/average").tensors {
        try expectClose(
          Variable(#require(try average.stateDict()[key])), Variable(tensor), key, limit: 1e-6)
      }
    }
  }

  @Test func `A model has the averages for a while, then its own weights, bit for bit`() throws {
    let fixture = try TrainingFixture("averages")
    let model = try model()
    let average = try ExponentialMovingAverage(of: model, decay: 0.3)
    for step in 0..<2 {
      try model.load(fixture.dict("fast/\(step)/model"))
      try average.update()
    }
    let (own, averaged) = (try bits(model.stateDict()), try bits(average.stateDict()))
    #expect(own != averaged)
    let kept = try average.withAveragedWeights {
      #expect(try bits(model.stateDict()) == averaged)
      #expect(try bits(average.stateDict()) == averaged)
      let inner = try average.withAveragedWeights { try bits(model.stateDict()) }
      #expect(inner == averaged)
      #expect(throws: TrainingError.self) { try average.update() }
      return try model.stateDict()
    }
    #expect(try bits(model.stateDict()) == own)
    #expect(try bits(average.stateDict()) == averaged)
    #expect(try bits(kept) == averaged)
    struct Failure: Error {}
    #expect(throws: Failure.self) { try average.withAveragedWeights { throw Failure() } }
    #expect(try bits(model.stateDict()) == own)
    // Further updates are those of a model that never had the averages.
    try model.load(fixture.dict("fast/2/model"))
    try average.update()
    let end = try fixture.dict("fast/2/average")
    for (key, tensor) in try average.stateDict().tensors {
      try expectClose(Variable(tensor), Variable(#require(end[key])), key, limit: 1e-6)
    }
  }

  @Test func `Averages go on from a saved state`() throws {
    let fixture = try TrainingFixture("averages")
    let (model, second) = (try model(), try self.model())
    let average = try ExponentialMovingAverage(of: model, decay: 0.999)
    for step in 0..<2 {
      try model.load(fixture.dict("slow/\(step)/model"))
      try average.update()
    }
    let resumed = try ExponentialMovingAverage(of: second, decay: 0.999)
    try resumed.load(average.stateDict(), averagedCount: average.averagedCount)
    #expect(resumed.averagedCount == 2)
    // The weights themselves were not loaded.
    #expect(try bits(second.stateDict()) != bits(resumed.stateDict()))
    for each in [model, second] { try each.load(fixture.dict("slow/2/model")) }
    try average.update()
    try resumed.update()
    #expect(try bits(average.stateDict()) == bits(resumed.stateDict()))
  }

  @Test func `What does not fit is refused, and changes nothing`() throws {
    let model = try model()
    for decay in [-0.1, 1.1, .nan] {
      #expect(
        message(of: TrainingError.self) {
          _ = try ExponentialMovingAverage(of: model, decay: decay)
        } == "average: a decay of \(decay)")
    }
    let average = try ExponentialMovingAverage(of: model)
    let before = try bits(average.stateDict())
    #expect(throws: TrainingError.self) { try average.load(StateDict()) }
    #expect(
      message(of: TrainingError.self) {
        try average.load(average.stateDict(), averagedCount: -1)
      } == "average: -1 updates")
    try model.convert(to: .float64)
    #expect(
      message(of: TrainingError.self) { try average.update() } == "average: float64 to float32")
    #expect(try bits(average.stateDict()) == before)
    #expect(average.averagedCount == 0)
  }
}
