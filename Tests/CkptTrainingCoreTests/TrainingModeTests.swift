import CkptPatterns
import Testing
import TrainingCore

/// Which parts of a partly frozen model are in training mode.
@Suite struct TrainingModeTests {
  /// A backbone of two blocks, a dropout on its own, and a head with a dropout.
  private func model() throws -> Sequential {
    let random = RandomSource(seed: 1)
    func block() throws -> Sequential {
      Sequential(
        try Linear(4, 4, from: random), try BatchNorm1d(4), Dropout(0.5, from: random),
        try BatchNorm1d(4, affine: false))
    }
    return Sequential(named: [
      ("first", try block()), ("second", try block()), ("drop", Dropout(0.5, from: random)),
      ("head", Sequential(Dropout(0.5, from: random), try Linear(4, 2, from: random))),
    ])
  }

  private func trained(_ model: Module) -> [String] {
    model.namedModules.filter { $0.module.isTraining && !$0.key.isEmpty }.map(\.key)
  }

  @Test func `A model of which nothing is frozen trains everywhere`() throws {
    let model = try model().eval()
    #expect(model.trainUnlessFrozen().isEmpty)
    #expect(model.namedModules.allSatisfy { $0.module.isTraining })
  }

  @Test func `Frozen children are in evaluation mode, with the dropouts and batch norms in them`()
    throws
  {
    let model = try model()
    try model.freeze(except: KeyPattern("under:head"))
    #expect(model.trainUnlessFrozen() == ["first.1", "first.3", "second.1", "second.3"])
    #expect(trained(model) == ["drop", "head", "head.0", "head.1"])
    let buffers = try model.namedBuffers.map { try $0.buffer.doubles() }
    _ = try model(Variable.normal([8, 4], from: RandomSource(seed: 2)))
    #expect(try model.namedBuffers.map { try $0.buffer.doubles() } == buffers)
  }

  @Test func `A frozen batch norm keeps its statistics where the rest of its block learns`() throws
  {
    let model = try model()
    try model.freeze(KeyPattern("under:first"))
    try model.freeze(KeyPattern("under:second.1"))
    #expect(model.trainUnlessFrozen() == ["first.1", "first.3", "second.1"])
    #expect(
      trained(model) == [
        "second", "second.0", "second.2", "second.3", "drop", "head", "head.0", "head.1",
      ])
    func statistics() throws -> [String: [Double]] {
      Dictionary(
        uniqueKeysWithValues: try model.namedBuffers.map { ($0.key, try $0.buffer.doubles()) })
    }
    let before = try statistics()
    _ = try model(Variable.normal([8, 4], from: RandomSource(seed: 2)))
    for (key, values) in try statistics() {
      #expect((values != before[key]) == key.hasPrefix("second.3."), "\(key)")
    }
    // What is trainable again learns again.
    try model.unfreeze()
    #expect(model.trainUnlessFrozen().isEmpty)
  }
}
