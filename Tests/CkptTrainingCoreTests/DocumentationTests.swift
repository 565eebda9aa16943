import CkptPatterns
import StateDictKit
import CkptStateDicts
import CkptTestSupport
import Testing
import TrainingCore

@Suite struct DocumentationTests {
  final class Classifier: Module {
    let conv1: Conv2d
    let bn1: BatchNorm2d
    let fc: Linear

    init(classes: Int) throws {
      conv1 = try Conv2d(3, 16, kernelSize: 3, stride: 2, padding: 1, bias: false)
      bn1 = try BatchNorm2d(16)
      fc = try Linear(16, classes)
    }

    override func forward(_ input: Variable) throws -> Variable {
      let features = try bn1.normalized(conv1(input), relu: true).adaptiveAvgPool2d(1).flattened(
        startDimension: 1)
      return try fc(features)
    }
  }

  @Test func `The example of docs/training.md trains`() throws {
    let folder = try TemporaryFolder()
    let path = folder.file("training.pt")
    let start = folder.file("start.pt")
    try Checkpoint(Classifier(classes: 3).stateDict().filter(include: "in:conv")).write(to: start)
    let batches = try (0..<3).map { _ in
      (try Variable.normal([4, 3, 8, 8]), try Variable(indices: [0, 1, 2, 3]))
    }

    let model = try Classifier(classes: 7)
    let pretrained = try Checkpoint(contentsOf: start).stateDict()
    let report = try model.load(pretrained, strict: false)
    #expect(report.loaded == ["conv1.weight"])

    #expect(try model.freeze(except: KeyPattern("under:fc")) == 2)
    #expect(try model.unfreeze() == 5)
    let optimizer = try SGD(
      .init(learningRate: 0.01, momentum: 0.9, weightDecay: 0.001),
      groups: [
        .init(model.parameters(notMatching: KeyPattern("under:fc"))),
        .init(model.parameters(matching: KeyPattern("under:fc"))) { $0.learningRate *= 10 },
      ])
    let scheduler = try StepLR(optimizer, stepSize: 1, gamma: 0.1)
    let loss = CrossEntropyLoss(labelSmoothing: 0.1)
    for (images, targets) in batches {
      optimizer.zeroGrad()
      try loss(model(images), targets).backward()
      try model.parameters.clipGradNorm(maxNorm: 1)
      try optimizer.step()
    }
    scheduler.step()

    let checkpoint = try Checkpoint(
      .dict([
        "model": PlainValue(model.stateDict()), "optimizer": optimizer.stateDict(),
        "scheduler": scheduler.stateDict(),
      ]))
    try checkpoint.write(to: path)
    let other = try Classifier(classes: 7)
    try other.load(Checkpoint(contentsOf: path).stateDict(at: "model"))
    #expect(try other.fc.weight.floats() == model.fc.weight.floats())
    try optimizer.load(Checkpoint(contentsOf: path).plainValue(at: "optimizer"))
    #expect(abs(optimizer.learningRates[0] - 0.001) < 1e-9)
    #expect(abs(optimizer.learningRates[1] - 0.01) < 1e-9)
  }
}
