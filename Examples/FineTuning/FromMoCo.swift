import CkptPatterns
internal import ArgumentParser
internal import ModelZoo
internal import StateDictKit
internal import CkptStateDicts
internal import TrainingCore

/// A ResNet-18 from a self-supervised checkpoint: a new head is trained alone, then everything.
struct FromMoCo: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "from-moco",
    abstract: "Train a new head on MoCo's backbone, then everything at two rates.")

  @Argument(help: "What MoCo saved.") var checkpoint: String
  @Argument(help: "Batches: tensors 0.input, 0.target, 1.input, …") var data: String
  @Argument(help: "Gets the model as it begins.") var start: String
  @Argument(help: "Gets the model, optimizer and scheduler at the end, and the losses.") var out:
    String
  @Option(help: "How many classes the new head has.") var classes = 7
  @Option(help: "How often the batches are gone through, alone and with everything.") var epochs = 3
  @Option(help: "The learning rate.") var rate = 0.02
  @Option(help: "What the new head is drawn from.") var seed: UInt64 = 0

  func run() throws {
    // The query encoder without its projector, under the model's own keys.
    let backbone = try Checkpoint(contentsOf: checkpoint).stateDict(at: "state_dict")
      .filter(include: "under:module.encoder_q", exclude: "under:module.encoder_q.fc")
      .renamingKeys(.stripPrefix("module.encoder_q."))
    let zooModel = try ModelZoo.standard.makeModel(
      ModelSpec("resnet18:classes=\(classes)"), fitting: backbone)
    let model = zooModel.module
    let report = try model.load(backbone, strict: false)
    guard report.missing.allSatisfy(zooModel.isHead), report.unexpected.isEmpty else {
      throw Complaint("more than the head is missing: \(report.missing)")
    }
    try model.module(at: "fc")?.resetParameters(from: RandomSource(seed: seed))
    let batches = try Batches(data)
    if batches.isWide { try model.convert(to: .float64) }
    try Checkpoint(model.stateDict()).write(to: start, replacingExisting: true)

    var run = Run(model: model, batches: batches)
    // The head alone; the backbone gets no gradients.
    try model.freeze(except: KeyPattern("under:fc"))
    run.trainable.append(model.trainableParameters.map(\.key))
    try run.train(
      SGD(
        model.trainableParameters.map(\.parameter), learningRate: rate, momentum: 0.9,
        weightDecay: 0.001), epochs: epochs)
    // Everything, with ten times the rate for the head.
    try model.unfreeze()
    run.trainable.append(model.trainableParameters.map(\.key))
    let head = try KeyPattern("under:fc")
    let (optimizer, scheduler) = try run.train(
      SGD(
        .init(learningRate: rate, momentum: 0.9, weightDecay: 0.001),
        groups: [
          .init(model.parameters(notMatching: head)),
          .init(model.parameters(matching: head)) { $0.learningRate *= 10 },
        ]), epochs: epochs)

    try Checkpoint(
      .dict([
        "model": PlainValue(model.stateDict()), "optimizer": optimizer.stateDict(),
        "scheduler": scheduler.stateDict(), "step": .int(2 * epochs * run.batches.count),
        "trainable": .list(run.trainable.map { .list($0.map(PlainValue.string)) }),
        "rates": .list(run.rates.map { .list($0.map(PlainValue.float)) }),
        "losses": .list(run.losses.map(PlainValue.float)),
      ])
    ).write(to: out, replacingExisting: true)
  }

  /// What is trained, and what it came to.
  private struct Run {
    let model: Module
    let batches: Batches
    var trainable: [[String]] = []
    /// The rate of each group in each epoch.
    var rates: [[Double]] = []
    /// The mean loss of each epoch.
    var losses: [Double] = []

    @discardableResult
    mutating func train(_ optimizer: SGD, epochs: Int) throws -> (SGD, StepLR) {
      let scheduler = try StepLR(optimizer, stepSize: 1, gamma: 0.1)
      let parameters = optimizer.groups.flatMap(\.parameters)
      model.train()
      for _ in 0..<epochs {
        rates.append(optimizer.learningRates)
        var total = 0.0
        for number in 0..<batches.count {
          let (input, target) = try batches[number]
          optimizer.zeroGrad()
          let losses = try model(input).crossEntropy(target, reduction: .none)
          let loss = try losses.mean()
          try loss.backward()
          try parameters.clipGradNorm(maxNorm: 5)
          try optimizer.step()
          total += try loss.item()
        }
        losses.append(total / Double(batches.count))
        scheduler.step()
      }
      return (optimizer, scheduler)
    }
  }
}
