import Testing
import TrainingCore

/// Random numbers that go on from a saved state, and where a model's dropouts get theirs.
@Suite struct RandomnessTests {
  @Test func `A source with another's state goes on as that one does`() throws {
    let source = RandomSource(seed: 7)
    _ = source.next()
    _ = source.permutation(5)
    let other = RandomSource(seed: 0)
    other.state = source.state
    #expect(source.next() == other.next())
    #expect(source.permutation(20) == other.permutation(20))
    #expect(
      try Variable.normal([9], from: source).floats()
        == Variable.normal([9], from: other).floats())
    let ones = try Variable.ones([50])
    #expect(
      try ones.dropout(0.5, from: source).floats() == ones.dropout(0.5, from: other).floats())
    #expect(source.state == other.state)
    source.manualSeed(7)
    #expect(source.state == RandomSource(seed: 7).state)
  }

  @Test func `All layers that drop elements draw from the source that a model is given`() throws {
    let random = RandomSource(seed: 1)
    let model = Sequential(
      try TransformerEncoderLayer(
        8, numHeads: 2, dimFeedforward: 16, dropout: 0.3, from: RandomSource(seed: 2)),
      Sequential(try Linear(8, 4, from: RandomSource(seed: 3)), Dropout(0.4)))
    model.useRandomSource(random)
    let input = try Variable.normal([2, 3, 8], from: RandomSource(seed: 4))
    let start = random.state
    let first = try model(input).floats()
    // Attention weights, three dropouts of the encoder layer, and the last one.
    let step = RandomSource(seed: start)
    for _ in 0..<5 { _ = step.next() }
    #expect(random.state == step.state)
    #expect(try model(input).floats() != first)
    random.state = start
    #expect(try model(input).floats() == first)
  }

  @Test func `The probability of all dropouts of a model is set at once, if it is one`() throws {
    let model = Sequential(Dropout(0.2), Sequential(ReLU(), Dropout()))
    #expect(try model.setDropout(0.7) == 2)
    let dropouts = model.namedModules.compactMap { $0.module as? Dropout }
    #expect(dropouts.map(\.probability) == [0.7, 0.7])
    for wrong in [-0.1, 1.1, .nan, .infinity] {
      #expect(throws: TrainingError.self) { try model.setDropout(wrong) }
      #expect(throws: TrainingError.self) { try dropouts[0].setProbability(wrong) }
    }
    #expect(dropouts.map(\.probability) == [0.7, 0.7])
    let kept = try dropouts[0](Variable.ones([10_000])).floats().count { $0 > 0 }
    #expect((2500...3500).contains(kept))
    try dropouts[0].setProbability(1)
    #expect(try dropouts[0](Variable.ones([10])).floats().allSatisfy { $0 == 0 })
  }
}
