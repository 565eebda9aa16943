import CkptStateDicts
import CkptTestSupport
import StateDictKit
import Testing
import TrainingCore

/// The one-cycle schedule against PyTorch's, step by step.
@Suite struct OneCycleTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let name: String
    var isAdam = false
    var totalSteps: Int
    var pctStart = 0.3
    var annealing = OneCycleLR.Annealing.cos
    var cycleMomentum = true
    var momenta = (base: 0.85, max: 0.95)
    var factors = (first: 25.0, last: 1e4)
    var threePhase = false
    var testDescription: String { name }

    func optimizer() throws -> any Optimizer {
      let groups = try (0..<2).map { _ in [try Parameter([1], .constant(0))] }
      return isAdam
        ? try Adam(
          .adamW(learningRate: 0.3, betas: .init(0.7, 0.99)), groups: groups.map { .init($0) })
        : try SGD(.init(learningRate: 0.3, momentum: 0.9), groups: groups.map { .init($0) })
    }

    func scheduler(_ optimizer: any Optimizer) throws -> OneCycleLR {
      try OneCycleLR(
        optimizer, maxLearningRates: [0.1, 2], totalSteps: totalSteps, pctStart: pctStart,
        annealing: annealing, cycleMomentum: cycleMomentum, baseMomentum: momenta.base,
        maxMomentum: momenta.max, divFactor: factors.first, finalDivFactor: factors.last,
        threePhase: threePhase)
    }

    /// PyTorch's rates and momenta of both groups, by step.
    func wanted() throws -> [[Double]] {
      try #require(
        try Fixtures.decode([String: [[Double]]].self, from: "training/one_cycle.json")[name])
    }
  }

  static let cases = [
    Case(name: "sgd", totalSteps: 20),
    Case(
      name: "sgd_linear_three", totalSteps: 37, pctStart: 0.27, annealing: .linear,
      momenta: (0.6, 0.8), factors: (7, 30), threePhase: true),
    Case(name: "sgd_still", totalSteps: 17, cycleMomentum: false),
    Case(name: "adamw", isAdam: true, totalSteps: 30, pctStart: 0.4, momenta: (0.5, 0.95)),
    Case(name: "adamw_three", isAdam: true, totalSteps: 25, threePhase: true),
    Case(name: "one", totalSteps: 1), Case(name: "two", totalSteps: 2, annealing: .linear),
    Case(name: "falling", isAdam: true, totalSteps: 9, pctStart: 0),
    Case(name: "rising", totalSteps: 9, pctStart: 1),
  ]

  /// The cases of which PyTorch's state after seven steps is kept.
  static let saved = cases.filter { $0.totalSteps > 7 }

  /// The rates and momenta of both groups.
  private func figures(_ optimizer: any Optimizer) -> [Double] {
    let momenta =
      (optimizer as? SGD)?.groups.map(\.options.momentum)
      ?? (optimizer as? Adam)?.groups.map(\.options.betas.beta1) ?? []
    return optimizer.learningRates + momenta
  }

  private func expectSame(
    _ optimizer: any Optimizer, _ wanted: [Double], _ step: Int,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let found = figures(optimizer)
    #expect(found.count == wanted.count, sourceLocation: sourceLocation)
    for (found, wanted) in zip(found, wanted) {
      #expect(
        abs(found - wanted) <= 1e-12 * abs(wanted), "step \(step)", sourceLocation: sourceLocation)
    }
  }

  @Test(arguments: cases)
  func `Rates and momenta are PyTorch's at every step`(each: Case) throws {
    let optimizer = try each.optimizer()
    let scheduler = try each.scheduler(optimizer)
    for (step, wanted) in try each.wanted().enumerated() {
      if step > 0 { scheduler.step() }
      expectSame(optimizer, wanted, step)
    }
  }

  @Test(arguments: saved)
  func `A cycle goes on where PyTorch's stopped, and is saved as PyTorch saves it`(each: Case)
    throws
  {
    let theirs = try Checkpoint(contentsOf: Fixtures.path("training/one_cycle_states.pt"))
    let optimizer = try each.optimizer()
    let scheduler = try OneCycleLR(optimizer, maxLearningRates: [7], totalSteps: 5)
    try optimizer.load(theirs.plainValue(at: "\(each.name)/optimizer"))
    try scheduler.load(theirs.plainValue(at: "\(each.name)/scheduler"))

    func outline(_ checkpoint: Checkpoint) throws -> [String] {
      try checkpoint.objectTree(depth: 9).filter { $0.path.hasPrefix(each.name + "/") }.map {
        // PyTorch's default dampening and weight decay of SGD are the int 0.
        $0.path.hasSuffix("dampening") || $0.path.hasSuffix("weight_decay")
          ? "\($0.path) number" : "\($0.path) \($0.summary)"
      }
    }
    let ours = try Checkpoint(
      .dict([
        "other": .none,
        each.name: .dict([
          "optimizer": optimizer.stateDict(), "scheduler": scheduler.stateDict(),
        ]),
      ]))
    let wanted = try outline(theirs)
    #expect(wanted.count > 40)
    #expect(try outline(ours) == wanted)

    for (step, wanted) in try each.wanted().enumerated().dropFirst(7) {
      if step > 7 { scheduler.step() }
      expectSame(optimizer, wanted, step)
    }
  }

  @Test(arguments: saved)
  func `A cycle goes on from its own state as if it had not stopped`(each: Case) throws {
    let (first, second) = (try each.optimizer(), try each.optimizer())
    let whole = try each.scheduler(first)
    for _ in 0..<4 { whole.step() }
    let resumed = try OneCycleLR(second, maxLearningRates: [7], totalSteps: 5)
    try second.load(first.stateDict())
    try resumed.load(whole.stateDict())
    #expect(figures(first) == figures(second))
    for _ in 4..<each.totalSteps {
      whole.step()
      resumed.step()
      #expect(figures(first) == figures(second))
    }
  }

  @Test func `After the last step rates stay what they are there`() throws {
    let each = Self.cases[0]
    let optimizer = try each.optimizer()
    let scheduler = try each.scheduler(optimizer)
    for _ in 0..<each.totalSteps + 3 { scheduler.step() }
    expectSame(optimizer, try each.wanted()[each.totalSteps - 1], each.totalSteps - 1)
  }

  @Test func `A phase of no length, in which PyTorch divides by zero, is at its end`() throws {
    let optimizer = try SGD([Parameter([1], .constant(0))], momentum: 0.9)
    let scheduler = try OneCycleLR(
      optimizer, maxLearningRates: [2], totalSteps: 10, pctStart: 0.1)
    #expect(figures(optimizer) == [2, 0.85])
    scheduler.step()
    #expect(figures(optimizer)[0] < 2)
    #expect(figures(optimizer).allSatisfy { $0.isFinite })
  }

  @Test func `A cycle that makes no sense is refused`() throws {
    let optimizer = try Self.cases[0].optimizer()
    func problem(_ body: () throws -> OneCycleLR) -> String? {
      message(of: TrainingError.self) { _ = try body() }
    }
    #expect(
      problem { try OneCycleLR(optimizer, maxLearningRates: [1], totalSteps: 0) }
        == "scheduler: 0 steps")
    #expect(
      problem { try OneCycleLR(optimizer, maxLearningRates: [1, 2, 3], totalSteps: 9) }
        == "scheduler: 3 highest learning rates for 2 parameter groups")
    #expect(
      problem { try OneCycleLR(optimizer, maxLearningRates: [.nan], totalSteps: 9) }
        == "scheduler: a learning rate of nan")
    #expect(
      problem { try OneCycleLR(optimizer, maxLearningRates: [1], totalSteps: 9, pctStart: 1.5) }
        == "scheduler: a rising part of 1.5")
    #expect(
      problem { try OneCycleLR(optimizer, maxLearningRates: [1], totalSteps: 9, maxMomentum: 1) }
        == "scheduler: a momentum of 1.0")
    #expect(
      problem { try OneCycleLR(optimizer, maxLearningRates: [1], totalSteps: 9, divFactor: 0) }
        == "scheduler: a learning rate divided by 0.0")
    // Nothing was changed.
    #expect(figures(optimizer) == [0.3, 0.3, 0.9, 0.9])
  }

  @Test func `A state that makes no sense is refused, and changes nothing`() throws {
    let optimizer = try Self.cases[0].optimizer()
    let scheduler = try Self.cases[0].scheduler(optimizer)
    let state = scheduler.stateDict()
    func refused(
      _ key: String, _ value: PlainValue, _ problem: String,
      sourceLocation: SourceLocation = #_sourceLocation
    ) {
      guard case .dict(let entries) = state else { return }
      let changed = PlainValue.dict(
        entries.filter { $0.key.string != key } + [(.string(key), value)])
      #expect(
        message(of: TrainingError.self) { try scheduler.load(changed) }
          == "the saved state does not fit: \(problem)", sourceLocation: sourceLocation)
    }
    refused("total_steps", .int(0), "total_steps is 0")
    refused("total_steps", .int(.max), "total_steps is 9223372036854775807")
    refused("_schedule_phases", .list([]), "_schedule_phases is no list of phases")
    refused("_schedule_phases", .list([.none]), "end_step is no number")
    refused(
      "_schedule_phases", .list([.dict(["end_step": .int(3), "start_lr": .string("lr")])]),
      "start_lr of a phase is unknown")
    refused("_anneal_func_type", .string("cubic"), "_anneal_func_type is unknown")
    refused("cycle_momentum", .none, "cycle_momentum is no bool")
    #expect(
      try Checkpoint(scheduler.stateDict()).objectTree(depth: 9).map(\.summary)
        == Checkpoint(state).objectTree(depth: 9).map(\.summary))
  }
}
