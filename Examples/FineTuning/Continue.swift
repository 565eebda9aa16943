internal import ArgumentParser
internal import ModelZoo
internal import StateDictKit
internal import CkptStateDicts
internal import TrainingCore

/// Training goes on from a checkpoint of a model, an optimizer and a scheduler, wherever it was written.
struct Continue: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Go on with a training that was saved here or by PyTorch.")

  enum OptimizerName: String, ExpressibleByArgument, CaseIterable { case sgd, adam, adamw }

  enum SchedulerName: String, ExpressibleByArgument, CaseIterable {
    case step, multiStep = "multi-step", exponential, cosine, linear, constant, warmUp = "warm-up"
    case oneCycle = "one-cycle"
  }

  @Argument(help: "The checkpoint: model, optimizer, scheduler, step.") var checkpoint: String
  @Argument(help: "Batches: tensors 0.input, 0.target, 1.input, …") var data: String
  @Argument(help: "Gets the checkpoint after the steps, and the losses.") var out: String
  @Option(help: "The model, as ckpt verify takes it.") var model: String
  @Option(help: "Which optimizer it is; its options are in the checkpoint.") var optimizer:
    OptimizerName
  @Option(help: "Which scheduler it is; its options are in the checkpoint.") var scheduler:
    SchedulerName
  @Option(help: "How many steps are trained; the scheduler moves after each.") var steps = 3

  func run() throws {
    let saved = try Checkpoint(contentsOf: checkpoint)
    let state = try saved.stateDict(at: "model")
    let zooModel = try ModelZoo.standard.makeModel(ModelSpec(model), fitting: state)
    let module = zooModel.module
    try module.load(state)
    let batches = try Batches(data)
    if batches.isWide { try module.convert(to: .float64) }

    // Two groups are the backbone and the head.
    let optimizerState = try saved.plainValue(at: "optimizer")
    let named = module.namedParameters
    var groups = [named.map(\.parameter)]
    if optimizerState["param_groups"]?.items?.count == 2 {
      groups = [
        named.filter { !zooModel.isHead($0.key) }.map(\.parameter),
        named.filter { zooModel.isHead($0.key) }.map(\.parameter),
      ]
    }
    let optimizer = try makeOptimizer(groups)
    let scheduler = try makeScheduler(optimizer)
    try optimizer.load(optimizerState)
    try scheduler.load(saved.plainValue(at: "scheduler"))

    let first = try saved.plainValue(at: "step").int ?? 0
    var (losses, rates): ([Double], [[Double]]) = ([], [])
    module.train()
    for step in first..<first + steps {
      rates.append(optimizer.learningRates)
      let (input, target) = try batches[step]
      optimizer.zeroGrad()
      let loss = try zooModel.loss(module(input), target)
      try loss.backward()
      try optimizer.step()
      scheduler.step()
      losses.append(try loss.item())
    }
    try Checkpoint(
      .dict([
        "model": PlainValue(module.stateDict()), "optimizer": optimizer.stateDict(),
        "scheduler": scheduler.stateDict(), "step": .int(first + steps),
        "rates": .list(rates.map { .list($0.map(PlainValue.float)) }),
        "losses": .list(losses.map(PlainValue.float)),
      ])
    ).write(to: out, replacingExisting: true)
  }

  private func makeOptimizer(_ groups: [[Parameter]]) throws -> any Optimizer {
    switch optimizer {
    case .sgd: try SGD(.init(), groups: groups.map { .init($0) })
    case .adam: try Adam(.init(), groups: groups.map { .init($0) })
    case .adamw: try Adam(.adamW(), groups: groups.map { .init($0) })
    }
  }

  private func makeScheduler(_ optimizer: any Optimizer) throws -> LRScheduler {
    switch scheduler {
    case .step: try StepLR(optimizer, stepSize: 1)
    case .multiStep: MultiStepLR(optimizer, milestones: [])
    case .exponential: ExponentialLR(optimizer, gamma: 1)
    case .cosine: try CosineAnnealingLR(optimizer, tMax: 1)
    case .linear: try LinearLR(optimizer)
    case .constant: try ConstantLR(optimizer)
    case .warmUp:
      try SequentialLR(
        [LinearLR(optimizer), CosineAnnealingLR(optimizer, tMax: 1)], milestones: [1])
    case .oneCycle: try OneCycleLR(optimizer, maxLearningRates: [1], totalSteps: 1)
    }
  }
}
