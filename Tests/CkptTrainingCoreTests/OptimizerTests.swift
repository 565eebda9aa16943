import StateDictKit
import CkptStateDicts
import CkptTestSupport
import Testing
import TrainingCore

/// Optimizers, schedulers and clipping against PyTorch.
@Suite struct OptimizerTests {
  typealias Make = @Sendable ([Parameter]) throws -> any Optimizer

  static let optimizers: KeyValuePairs<String, Make> = [
    "sgd": { try SGD($0, learningRate: 0.1) },
    "sgd_momentum": { try SGD($0, learningRate: 0.1, momentum: 0.9, weightDecay: 0.01) },
    "sgd_dampening": {
      try SGD(
        $0, learningRate: 0.1, momentum: 0.9, dampening: 0.3, weightDecay: 0.01, maximize: true)
    },
    "sgd_nesterov": {
      try SGD(
        .init(learningRate: 0.1, momentum: 0.9, nesterov: true),
        groups: [
          .init(Array($0[..<2])),
          .init(Array($0[2...])) {
            $0.learningRate = 0.5
            $0.weightDecay = 0.2
          },
        ])
    },
    "sgd_groups": {
      try SGD(
        .init(learningRate: 0.001, weightDecay: 0.001),
        groups: [
          .init(Array($0[..<2])),
          .init(Array($0[2...])) {
            $0.learningRate *= 10
            $0.momentum = 0.5
          },
        ])
    },
    "adam": { try Adam($0, learningRate: 0.01) },
    "adam_options": {
      try Adam(
        .init(learningRate: 0.01, betas: .init(0.8, 0.99), weightDecay: 0.1),
        groups: [
          .init(Array($0[..<2])),
          .init(Array($0[2...])) {
            $0.learningRate = 0.1
            $0.epsilon = 1e-3
          },
        ])
    },
    "adam_amsgrad": { try Adam($0, learningRate: 0.01, amsgrad: true, maximize: true) },
    "adamw": { try AdamW($0, learningRate: 0.01) },
    "adamw_options": {
      try Adam(
        .adamW(learningRate: 0.05, betas: .init(0.85, 0.95), weightDecay: 0.3, amsgrad: true),
        groups: [.init(Array($0[..<2])), .init(Array($0[2...])) { $0.weightDecay = 0 }])
    },
  ]

  @Test(arguments: optimizers.map(\.key))
  func `Ten steps of an optimizer give PyTorch's parameters`(name: String) throws {
    let fixture = try TrainingFixture("optimizers")
    let parameters = try Self.start(fixture)
    let optimizer = try #require(Self.optimizers.first { $0.key == name }).value(parameters)
    for step in 0..<10 {
      try Self.setGradients(fixture, step, parameters)
      try optimizer.step()
    }
    for (i, parameter) in parameters.enumerated() {
      try expectClose(parameter, fixture.need("\(name)/\(i)"), "parameter \(i)", limit: 1e-5)
    }
  }

  static let resumed: KeyValuePairs<String, Make> = [
    "resume_sgd": {
      try SGD(
        .init(learningRate: 0.1, momentum: 0.9, weightDecay: 0.01),
        groups: [.init(Array($0[..<2])), .init(Array($0[2...])) { $0.learningRate = 0.5 }])
    },
    "resume_adamw": {
      try Adam(
        .adamW(learningRate: 0.01, amsgrad: true),
        groups: [.init(Array($0[..<2])), .init(Array($0[2...])) { $0.learningRate = 0.05 }])
    },
    "resume_adam": { try Adam($0, learningRate: 0.01, weightDecay: 0.1) },
  ]

  @Test(arguments: resumed.map(\.key))
  func `Training goes on where PyTorch stopped`(name: String) throws {
    try resume(name, Checkpoint(contentsOf: Fixtures.path("training/\(name).pt")))
  }

  @Test(arguments: resumed.map(\.key))
  func `A state saved here is what PyTorch saves, and training goes on from it`(name: String) throws
  {
    let fixture = try TrainingFixture("optimizers")
    let parameters = try Self.start(fixture)
    let optimizer = try #require(Self.resumed.first { $0.key == name }).value(parameters)
    let scheduler = try StepLR(optimizer, stepSize: 2, gamma: 0.5)
    for step in 0..<5 {
      try Self.setGradients(fixture, step, parameters)
      try optimizer.step()
      scheduler.step()
    }
    var model = StateDict()
    for (i, parameter) in parameters.enumerated() {
      model["\(i)"] = try Sequential(named: [("p", ModuleDict([("w", .parameter(parameter))]))])
        .stateDict()["p.w"]
    }
    let saved = try Checkpoint(
      .dict([
        "model": PlainValue(model), "optimizer": optimizer.stateDict(),
        "scheduler": scheduler.stateDict(), "epoch": .int(5),
      ]))
    let folder = try TemporaryFolder()
    let path = folder.file("saved.pt")
    try saved.write(to: path)
    let reread = try Checkpoint(contentsOf: path)
    let theirs = try Checkpoint(contentsOf: Fixtures.path("training/\(name).pt"))
    func outline(_ checkpoint: Checkpoint) throws -> [String] {
      try checkpoint.objectTree(depth: 9).filter { !$0.path.hasSuffix("_last_lr") }.map {
        // PyTorch's default dampening is the int 0; rates may differ in the last digit.
        ["int", "float"].contains($0.type) ? "\($0.path) number" : "\($0.path) \($0.summary)"
      }
    }
    #expect(try outline(reread) == outline(theirs))
    try resume(name, reread)
  }

  private func resume(_ name: String, _ checkpoint: Checkpoint) throws {
    let fixture = try TrainingFixture("optimizers")
    let parameters = try Self.start(fixture)
    for (i, (_, tensor)) in try checkpoint.stateDict(at: "model").tensors.enumerated() {
      try parameters[i].copy(from: Variable(tensor))
    }
    let optimizer = try #require(Self.resumed.first { $0.key == name }).value(parameters)
    let scheduler = try StepLR(optimizer, stepSize: 2, gamma: 0.5)
    try optimizer.load(checkpoint.plainValue(at: "optimizer"))
    try scheduler.load(checkpoint.plainValue(at: "scheduler"))
    for step in 5..<10 {
      try Self.setGradients(fixture, step, parameters)
      try optimizer.step()
      scheduler.step()
    }
    let end = try TrainingFixture("\(name)_end")
    for (i, parameter) in parameters.enumerated() {
      try expectClose(parameter, end.need("\(i)"), "parameter \(i)", limit: 1e-5)
    }
  }

  @Test func `A state of other groups or shapes is refused`() throws {
    let fixture = try TrainingFixture("optimizers")
    let checkpoint = try Checkpoint(contentsOf: Fixtures.path("training/resume_sgd.pt"))
    let parameters = try Self.start(fixture)
    let one = try SGD(parameters, momentum: 0.9)
    #expect(
      message(of: TrainingError.self) {
        try one.load(checkpoint.plainValue(at: "optimizer"))
      }
        == "the saved state does not fit: 2 param groups for 1")
    let swapped = try SGD(
      .init(), groups: [.init([parameters[1], parameters[0]]), .init([parameters[2]])])
    #expect(
      message(of: TrainingError.self) {
        try swapped.load(checkpoint.plainValue(at: "optimizer"))
      }
        == "the saved state does not fit: momentum_buffer of shape [3, 4] for [5]")
    #expect(
      message(of: TrainingError.self) { try one.load(.none) }
        == "the saved state does not fit: 0 param groups for 1")
  }

  @Test(arguments: [("l2", 2.0), ("l1", 1), ("inf", .infinity), ("l3", 3)])
  func `Clipping by norm gives PyTorch's gradients`(name: String, normType: Double) throws {
    let fixture = try TrainingFixture("optimizers")
    let parameters = try Self.start(fixture)
    try Self.setGradients(fixture, 0, parameters)
    let total = try parameters.clipGradNorm(maxNorm: 1.5, normType: normType)
    #expect(abs(total / (try fixture.need("clip_\(name)/total").item()) - 1) < 1e-5)
    for (i, parameter) in parameters.enumerated() {
      try expectClose(parameter.grad, fixture.need("clip_\(name)/\(i)"), "gradient \(i)")
    }
  }

  @Test func `Clipping by value gives PyTorch's gradients`() throws {
    let fixture = try TrainingFixture("optimizers")
    let parameters = try Self.start(fixture)
    try Self.setGradients(fixture, 0, parameters)
    try parameters.clipGradValue(clipValue: 0.4)
    for (i, parameter) in parameters.enumerated() {
      try expectClose(parameter.grad, fixture.need("clip_value/\(i)"), "gradient \(i)")
    }
  }

  static let schedulers: KeyValuePairs<String, @Sendable (any Optimizer) throws -> LRScheduler> = [
    "step": { try StepLR($0, stepSize: 3, gamma: 0.1) },
    "step_each": { try StepLR($0, stepSize: 1, gamma: 0.7) },
    "multi_step": { MultiStepLR($0, milestones: [2, 5, 5, 9], gamma: 0.5) },
    "exponential": { ExponentialLR($0, gamma: 0.9) },
    "cosine": { try CosineAnnealingLR($0, tMax: 5, etaMin: 0.001) },
    "linear": { try LinearLR($0, startFactor: 0.25, endFactor: 0.8, totalIters: 6) },
    "constant": { try ConstantLR($0, factor: 0.25, totalIters: 4) },
    "sequential": {
      try SequentialLR(
        [
          LinearLR($0, startFactor: 0.1, totalIters: 4), CosineAnnealingLR($0, tMax: 8),
        ], milestones: [4])
    },
    "sequential_three": {
      try SequentialLR(
        [
          ConstantLR($0, factor: 0.1, totalIters: 2), ExponentialLR($0, gamma: 0.9),
          StepLR($0, stepSize: 2, gamma: 0.5),
        ], milestones: [3, 7])
    },
  ]

  @Test(arguments: schedulers.map(\.key))
  func `A scheduler moves every group's rate as PyTorch's does`(name: String) throws {
    let rates = try Fixtures.decode([String: [[Double]]].self, from: "training/schedulers.json")
    let parameters = try (0..<2).map { _ in try Parameter([1], .constant(0)) }
    let optimizer = try SGD(
      .init(learningRate: 0.05),
      groups: [.init([parameters[0]]), .init([parameters[1]]) { $0.learningRate = 0.5 }])
    let scheduler = try #require(Self.schedulers.first { $0.key == name }).value(optimizer)
    for (epoch, wanted) in try #require(rates[name]).enumerated() {
      if epoch > 0 { scheduler.step() }
      for (found, wanted) in zip(scheduler.lastLearningRates, wanted) {
        #expect(abs(found - wanted) <= 1e-12, "epoch \(epoch)")
      }
    }
    #expect(Set(rates.keys) == Set(Self.schedulers.map(\.key)))
  }

  @Test(arguments: schedulers.map(\.key))
  func `A scheduler goes on from its saved state`(name: String) throws {
    let make = try #require(Self.schedulers.first { $0.key == name }).value
    func optimizer() throws -> SGD {
      try SGD([Parameter([1], .constant(0))], learningRate: 0.3)
    }
    let (first, second) = (try optimizer(), try optimizer())
    let (whole, resumed) = (try make(first), try make(second))
    for _ in 0..<5 { whole.step() }
    try second.load(first.stateDict())
    try resumed.load(whole.stateDict())
    for _ in 0..<6 {
      whole.step()
      resumed.step()
      #expect(whole.lastLearningRates == resumed.lastLearningRates)
    }
  }

  /// Schedulers of the same kinds with other options, which a state overrides.
  static let others: KeyValuePairs<String, @Sendable (any Optimizer) throws -> LRScheduler> = [
    "step": { try StepLR($0, stepSize: 7) }, "step_each": { try StepLR($0, stepSize: 7) },
    "multi_step": { MultiStepLR($0, milestones: [1, 6]) },
    "exponential": { ExponentialLR($0, gamma: 0.1) },
    "cosine": { try CosineAnnealingLR($0, tMax: 2) }, "linear": { try LinearLR($0) },
    "constant": { try ConstantLR($0) },
    "sequential": {
      try SequentialLR([LinearLR($0), CosineAnnealingLR($0, tMax: 1)], milestones: [1])
    },
    "sequential_three": {
      try SequentialLR(
        [ConstantLR($0), ExponentialLR($0, gamma: 1), StepLR($0, stepSize: 1)], milestones: [1, 2])
    },
  ]

  @Test(arguments: others.map(\.key))
  func `A scheduler goes on where PyTorch's stopped, by the options that it had there`(name: String)
    throws
  {
    let rates = try #require(
      try Fixtures.decode([String: [[Double]]].self, from: "training/schedulers.json")[name])
    let theirs = try Checkpoint(contentsOf: Fixtures.path("training/scheduler_states.pt"))
    let optimizer = try SGD(
      .init(learningRate: 0.05),
      groups: [
        .init([Parameter([1], .constant(0))]),
        .init([Parameter([1], .constant(0))]) { $0.learningRate = 0.5 },
      ])
    let scheduler = try #require(Self.others.first { $0.key == name }).value(optimizer)
    try scheduler.load(theirs.plainValue(at: name))
    optimizer.learningRates = rates[5]

    // What is saved here is the same, too, but for rates that nobody reads.
    func outline(_ checkpoint: Checkpoint, _ prefix: String) throws -> [String] {
      try checkpoint.objectTree(depth: 9).filter {
        $0.path.hasPrefix(prefix) && !$0.path.contains("_last_lr")
      }.map {
        let path = $0.path.dropFirst(prefix.count)
        return ["int", "float"].contains($0.type) ? "\(path) number" : "\(path) \($0.summary)"
      }
    }
    let saved = try Checkpoint(.dict(["other": .none, name: scheduler.stateDict()]))
    let wanted = try outline(theirs, name + "/")
    #expect(wanted.count > 5)
    #expect(try outline(saved, name + "/") == wanted)

    for (epoch, wanted) in rates.enumerated().dropFirst(6) {
      scheduler.step()
      for (found, wanted) in zip(scheduler.lastLearningRates, wanted) {
        #expect(abs(found - wanted) <= 1e-12, "epoch \(epoch)")
      }
    }
  }

  @Test func `A multi-step scheduler's milestones are a Counter, as PyTorch keeps them`() throws {
    let optimizer = try SGD([Parameter([1], .constant(0))], learningRate: 1)
    let scheduler = MultiStepLR(optimizer, milestones: [2, 5, 5, 9], gamma: 0.5)
    let folder = try TemporaryFolder()
    let path = folder.file("scheduler.pt")
    try Checkpoint(scheduler.stateDict()).write(to: path)
    guard case .counter(let counts) = try Checkpoint(contentsOf: path).plainValue(at: "milestones")
    else {
      Issue.record("no Counter")
      return
    }
    #expect(counts.map(\.key.int) == [2, 5, 9])
    #expect(counts.map(\.count) == [1, 2, 1])
  }

  @Test func `A scheduler's state that makes no sense is refused, and changes nothing`() throws {
    let optimizer = try SGD([Parameter([1], .constant(0))], learningRate: 1)
    let multiStep = MultiStepLR(optimizer, milestones: [2], gamma: 0.5)
    let step = try StepLR(optimizer, stepSize: 1)
    let warmUp = try LinearLR(optimizer)
    let sequence = try SequentialLR(
      [ConstantLR(optimizer), ExponentialLR(optimizer, gamma: 1)], milestones: [1])
    func refused(
      _ scheduler: LRScheduler, _ key: String, _ value: PlainValue, _ problem: String,
      sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
      guard case .dict(let entries) = scheduler.stateDict() else { return }
      let changed = PlainValue.dict(
        entries.filter { $0.key.text != key } + [(.string(key), value)])
      #expect(
        message(of: TrainingError.self) { try scheduler.load(changed) }
          == "the saved state does not fit: \(problem)", sourceLocation: sourceLocation)
    }
    try refused(multiStep, "milestones", .none, "milestones is no Counter")
    try refused(
      multiStep, "milestones", .counter([(.string("2"), 1)]), "milestones does not count epochs")
    try refused(
      multiStep, "milestones", .counter([(.int(2), -1)]), "milestones does not count epochs")
    try refused(multiStep, "gamma", .float(.nan), "gamma is no number")
    try refused(multiStep, "last_epoch", .int(.max), "last_epoch is no count")
    try refused(multiStep, "base_lrs", .list([]), "base_lrs is no list of 1 numbers")
    try refused(step, "step_size", .int(0), "step_size is 0")
    try refused(step, "step_size", .int(.max), "step_size is 9223372036854775807")
    try refused(warmUp, "start_factor", .float(0), "start_factor is 0.0")
    try refused(warmUp, "total_iters", .float(5), "total_iters is no count")
    try refused(sequence, "_milestones", .list([]), "the milestones of a sequence are []")
    try refused(sequence, "_schedulers", .list([.none, .none]), "last_epoch is no count")
    try refused(sequence, "last_epoch", .int(-2), "last_epoch is no count")
    // So many milestones are neither listed nor added up as whole numbers.
    try multiStep.load(
      .dict([
        "milestones": .counter([(.int(1), .max), (.int(-1), .max)]), "gamma": .float(0.5),
        "last_epoch": .int(0), "base_lrs": .list([.float(1)]),
      ]))
    multiStep.step()
    #expect(multiStep.lastLearningRates == [0])
  }

  private static func start(_ fixture: TrainingFixture) throws -> [Parameter] {
    try (0..<3).map { i in
      let values = try fixture.need("start/\(i)")
      let parameter = try Parameter(values.shape, .constant(0))
      try parameter.copy(from: values)
      return parameter
    }
  }

  private static func setGradients(
    _ fixture: TrainingFixture, _ step: Int, _ parameters: [Parameter]
  ) throws {
    for (i, parameter) in parameters.enumerated() {
      parameter.grad = try fixture.need("gradients/\(step)/\(i)")
    }
  }
}

extension PlainValue {
  /// The str.
  fileprivate var text: String? { if case .string(let value) = self { value } else { nil } }
}
