import CkptPatterns
import CkptStateDicts
import CkptTestSupport
import FineTuning
import Foundation
import ImageData
import ModelZoo
import StateDictKit
import Testing
import TrainingCore

// The examples of Sources/FineTuning/FineTuning.docc/Workflow/*.md: what stands between the marks is what the documents show, word for word.
struct WorkflowTests {
  let folder: TemporaryFolder
  /// A ResNet-18 with the backbone that MoCo saved and a new head for three classes.
  let model: Module

  init() throws {
    folder = try TemporaryFolder()
    let backbone = try TuningSetup.weights()
    model = try ModelZoo.standard.makeModel(ModelSpec("resnet18:classes=3"), fitting: backbone)
      .module
    try model.load(backbone, strict: false)
  }

  private func path(_ name: String) -> String {
    if name == "moco.pt" { return Fixtures.path("finetune/moco.pt") }
    return name.hasPrefix("shapes") ? Fixtures.path("finetune/" + name) : folder.file(name)
  }

  /// The first images of each class as the model takes them, and their classes.
  private func batch() throws -> (inputs: Variable, targets: Variable) {
    let loader = DataLoader(
      try ImageFolder(TuningSetup.shapes), transform: .evaluation(resize: 37, size: 32),
      batchSize: 36)
    let batch = try #require(try loader.epoch(0).nextBatch())
    return (
      try Variable(batch.values.array, shape: batch.shape), try Variable(indices: batch.labels)
    )
  }

  @Test func `W8: the head alone learns`() throws {
    let (inputs, targets) = try batch()
    // begin W8
    let count = try model.freeze(except: KeyPattern("under:fc"))
    for (key, parameter) in model.trainableParameters {
      print(key, parameter.shape, "learns")
    }
    model.eval()
    let loss = try CrossEntropyLoss()(model(inputs), targets)
    try loss.backward()
    // end W8
    #expect(count == 2 && model.trainableParameters.map(\.key) == ["fc.weight", "fc.bias"])
    for (key, parameter) in model.namedParameters {
      #expect((parameter.grad != nil) == key.hasPrefix("fc."), "\(key)")
    }
  }

  @Test func `W9: the backbone is left out of the optimizer`() throws {
    let (inputs, targets) = try batch()
    let before = try model.namedParameters.map { try $0.parameter.floats() }
    // begin W9
    let head = try model.parameters(matching: KeyPattern("under:fc"))
    let optimizer = try SGD(head, learningRate: 0.01, momentum: 0.9)
    try CrossEntropyLoss()(model(inputs), targets).backward()
    try optimizer.step()
    // end W9
    for ((key, parameter), old) in zip(model.namedParameters, before) {
      #expect(parameter.grad != nil, "\(key)")
      #expect(try (parameter.floats() != old) == key.hasPrefix("fc."), "\(key)")
    }
  }

  @Test func `W10: two learning rates`() throws {
    // begin W10
    let head = try KeyPattern("under:fc")
    let optimizer = try SGD(
      .init(learningRate: 0.001, momentum: 0.9, weightDecay: 0.001),
      groups: [
        .init(model.parameters(notMatching: head)),
        .init(model.parameters(matching: head)) { $0.learningRate *= 10 },
      ])
    print(optimizer.learningRates)
    // end W10
    #expect(optimizer.learningRates == [0.001, 0.01])
    #expect(optimizer.groups.map(\.parameters.count) == [60, 2])
    #expect(optimizer.groups.allSatisfy { $0.options.weightDecay == 0.001 })
  }

  @Test func `W11: a schedule moves the rate of every group`() throws {
    let (inputs, targets) = try batch()
    let head = try KeyPattern("under:fc")
    let optimizer = try SGD(
      .init(learningRate: 0.001),
      groups: [
        .init(model.parameters(notMatching: head)),
        .init(model.parameters(matching: head)) { $0.learningRate = 0.01 },
      ])
    // begin W11
    let scheduler = try StepLR(optimizer, stepSize: 1, gamma: 0.1)
    for epoch in 0..<3 {
      print("epoch", epoch, "rates", optimizer.learningRates)
      optimizer.zeroGrad()
      try CrossEntropyLoss()(model(inputs), targets).backward()
      try optimizer.step()
      scheduler.step()
    }
    // end W11
    for rates in [optimizer.learningRates, scheduler.lastLearningRates] {
      for (rate, start) in zip(rates, [0.001, 0.01]) {
        #expect(abs(rate / (start * 0.001) - 1) < 1e-12)
      }
    }
  }

  @Test func `W12: gradients are cut off and clipped`() throws {
    let (inputs, targets) = try batch()
    // begin W12
    try model.freeze(except: KeyPattern("under:fc"))
    try CrossEntropyLoss()(model(inputs), targets).backward()
    let norm = try model.parameters.clipGradNorm(maxNorm: 0.1)
    try model.parameters.clipGradValue(clipValue: 0.05)
    // end W12
    #expect(norm > 0.1)
    #expect(try model.parameters.totalGradNorm() <= 0.1 * 1.0001)
    for (key, parameter) in model.namedParameters {
      #expect((parameter.grad != nil) == key.hasPrefix("fc."), "\(key)")
      #expect(try (parameter.grad?.floats() ?? []).allSatisfy { abs($0) <= 0.05 })
    }
  }

  @Test func `W13: batches from a folder of images`() throws {
    // begin W13
    let images = try ImageFolder(path("shapes"))
    print(images.classes, images.counts)
    let loader = DataLoader(
      images, transform: .training(size: 32), batchSize: 8, order: .shuffled, seed: 0)
    for epoch in 0..<2 {
      let batches = try loader.epoch(epoch)
      while let batch = try batches.nextBatch() {
        let inputs = try Variable(batch.values.array, shape: batch.shape)
        let targets = try Variable(indices: batch.labels)
        try CrossEntropyLoss()(model(inputs), targets).backward()
        print("epoch", epoch, "classes", batch.labels)
      }
    }
    // end W13
    #expect(images.classes == ["circle", "square", "triangle"])
    let (first, second) = (loader.order(epoch: 0), loader.order(epoch: 1))
    #expect(loader.batchCount == 5 && first != second)
    #expect(first.sorted() == Array(0..<36) && second.sorted() == Array(0..<36))
    #expect(model.parameters.allSatisfy { $0.grad != nil })
  }

  @Test func `W14: the cross entropy and its options`() throws {
    let (inputs, targets) = try batch()
    let logits = try model(inputs)
    // begin W14
    let losses = try CrossEntropyLoss(reduction: .none)(logits, targets)
    let weight = try Variable([1, 2, 0.5], shape: [3])
    let loss = try CrossEntropyLoss(weight: weight, ignoreIndex: -1, labelSmoothing: 0.1)(
      logits, targets)
    print(losses.shape, try loss.item())
    // end W14
    #expect(losses.shape == [36])
    let mean = try losses.doubles().reduce(0, +) / 36
    #expect(try abs(mean - CrossEntropyLoss()(logits, targets).item()) < 1e-5)
    #expect(try loss.item().isFinite)
  }

  @Test func `From a checkpoint and a folder of images to a classifier`() throws {
    // begin FromImages
    var options = FineTuningOptions()
    options.data = path("shapes")
    options.model = "resnet18"
    (options.size, options.resize) = (32, 37)
    options.train = ["head"]
    options.headLearningRate = 0.03
    options.augment = .none
    options.epochs = 15

    // The backbone out of the checkpoint, under the model's own keys (W1, W3, W6).
    let backbone = try Checkpoint(contentsOf: path("moco.pt")).stateDict(at: "state_dict")
      .filter(include: "under:module.encoder_q", exclude: "under:module.encoder_q.fc")
      .renamingKeys(.stripPrefix("module.encoder_q."))
    // The images, a part of each class held out (W13).
    let images = try TrainingImages(options.data, seed: options.seed)
    // A model for these classes with that backbone and a new head (W2, W4, W5, W7).
    let start = try StartingModel(options, classes: images.classes, weights: backbone)
    print("\(start.backboneShare * 100) % of the backbone are loaded; new:", start.newKeys)

    // What learns at which rate (W8 to W11), with which loss (W14).
    let tuner = try FineTuner(options, images, start)
    for group in tuner.plan.groups {
      print(group.name, group.keys, group.learningRate)
    }
    let run = RunFolder(path("run"))
    try run.begin(tuner, replacing: false)
    let end = try tuner.run(
      observe: { event in
        guard case .epoch(let figures, let isBest) = event else { return }
        print(figures.epoch, figures.trainLoss, figures.top1, isBest ? "best" : "")
      },
      save: { isBest in try run.save(tuner, isBest: isBest) })
    try run.writeReport(tuner)
    print(end, "after", tuner.finishedEpochs, "epochs")

    // The classifier, as it was at its best.
    let classifier = try FineTunedFile(contentsOf: run.file("best.pt")).classifier()
    try Predictor(classifier).predict([path("shapes/triangle/06.png")], top: 1) { predictions in
      for prediction in predictions {
        print(prediction.path, prediction.top.map(\.name), prediction.top.map(\.probability))
      }
    }
    let (evaluation, _) = try Evaluator(images.validation, classifier.preprocessing)
      .evaluate(classifier.model.module)
    print("top-1", evaluation.top1, "of", evaluation.imageCount, "images")
    // end FromImages
    #expect(start.backboneShare == 1 && start.newKeys == ["fc.weight", "fc.bias"])
    #expect(end == .finished && evaluation.imageCount == 6)
    #expect(evaluation == tuner.bestEvaluation)
    // Chance would be a third.
    #expect(evaluation.top1 > 0.6)
  }

  @Test(
    arguments: ["W8", "W9", "W10", "W11", "W12", "W13", "W14", "FromImages"])
  func `The documents show these examples`(_ name: String) throws {
    let source = try String(contentsOfFile: #filePath, encoding: .utf8)
      .split(separator: "\n", omittingEmptySubsequences: false)
    let begin = try #require(source.firstIndex(of: "    // begin \(name)"))
    let end = try #require(source.firstIndex(of: "    // end \(name)"))
    let example = source[begin + 1..<end]
      .map { $0.hasPrefix("    ") ? $0.dropFirst(4) : $0 }
      .joined(separator: "\n").replacingOccurrences(
        of: #"path\(("[^"]*")\)"#, with: "$1", options: .regularExpression)
    let document = Fixtures.folder.deletingLastPathComponent()
      .appending(path: "Sources/FineTuning/FineTuning.docc/Workflow/\(name).md")
    let text = try String(contentsOf: document, encoding: .utf8)
    #expect(text.contains("\n\(example)\n```"), "\(name).md should show:\n\(example)")
  }
}
