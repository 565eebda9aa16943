import CkptPatterns
import CkptPlatform
import CkptStateDicts
import CkptTestSupport
import FineTuning
import Foundation
import ModelZoo
import StateDictKit
import Testing
import TrainingCore

struct FineTunerTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// Options that each bring a state of their own into what is saved.
  static let ways: [(name: String, options: FineTuningOptions)] = [
    ("two rates", TuningSetup.options()),
    (
      "adamw, one-cycle, average, accumulation",
      TuningSetup.options {
        $0.optimizer = .adamw
        $0.schedule = .oneCycle
        $0.ema = 0.9
        // Three steps of four batches, of which the last has no second one.
        $0.accumulate = 3
        $0.clipNorm = 1
      }
    ),
    (
      "head, features kept, adam",
      TuningSetup.options {
        $0.train = ["head"]
        $0.augment = .none
        $0.optimizer = .adam
      }
    ),
    (
      "mixup, erasing, balanced, warm-up",
      TuningSetup.options {
        $0.mixup = 0.2
        $0.erase = 0.5
        $0.sampler = .balanced
        $0.schedule = .step(size: 1, gamma: 0.5)
        $0.warmup = 1
        $0.labelSmoothing = 0.1
      }
    ),
  ]

  @Test(arguments: ways.indices)
  func `A run that was stopped and continued ends with the same bytes`(_ way: Int) throws {
    try StoppedRun.check(Self.ways[way].options, in: folder)
  }

  @Test func `The head alone learns, and nothing else changes by a bit`() throws {
    let tuner = try TuningSetup.tuner(
      TuningSetup.options {
        $0.train = ["head"]
        $0.weightDecay = 0.1
      })
    let module = tuner.start.model.module
    func values() throws -> [String: [Float]] {
      var found: [String: [Float]] = [:]
      for (key, tensor) in try module.stateDict().tensors { found[key] = try tensor.floats() }
      return found
    }
    let before = try values()
    #expect(tuner.plan.groups.map(\.keys) == [["fc.weight", "fc.bias"]])
    #expect(tuner.fixedNorms.count == 20)
    _ = try tuner.run { _ in }
    let after = try values()
    let changed = before.keys.filter { before[$0] != after[$0] }.sorted()
    #expect(changed == ["fc.bias", "fc.weight"])
  }

  @Test func `Batch normalization of a frozen backbone is trained if asked for`() throws {
    let tuner = try TuningSetup.tuner(
      TuningSetup.options {
        $0.train = ["head"]
        $0.trainsBatchNorm = true
        $0.epochs = 1
      })
    let module = tuner.start.model.module
    let before = try module.stateDict()["bn1.running_mean"]?.floats()
    #expect(tuner.fixedNorms.isEmpty)
    _ = try tuner.run { _ in }
    #expect(try module.stateDict()["bn1.running_mean"]?.floats() != before)
  }

  @Test func `It learns to tell the shapes apart`() throws {
    let tuner = try TuningSetup.tuner(
      TuningSetup.options {
        $0.train = ["head"]
        $0.augment = .none
        $0.epochs = 20
        $0.learningRate = 0.01
      })
    #expect(try tuner.run { _ in } == .finished)
    #expect(tuner.keepsTrainingFeatures)
    #expect((tuner.metrics.last?.trainLoss ?? 9) < 0.5 * (tuner.metrics.first?.trainLoss ?? 0))
  }

  @Test func `A loss that is no number ends the training with an error`() throws {
    var weights = try TuningSetup.weights()
    weights["conv1.weight"] = try Tensor(
      [Float](repeating: .nan, count: 8 * 3 * 49), shape: [8, 3, 7, 7])
    let tuner = try TuningSetup.tuner(weights: weights)
    #expect(throws: FineTuningError.notFinite(what: "the loss", position: "epoch 1, step 1")) {
      try tuner.run { _ in }
    }
  }

  @Test func `Patience and time end it early`() throws {
    let impatient = try TuningSetup.tuner(
      TuningSetup.options {
        $0.epochs = 50
        $0.patience = 1
        // Too small to change a weight of 32 bits, so that no result is better than the first.
        $0.learningRate = 1e-30
        $0.train = ["head"]
        $0.augment = .none
      })
    #expect(try impatient.run { _ in } == .outOfPatience)
    #expect(impatient.finishedEpochs == 2)
    let hasty = try TuningSetup.tuner(TuningSetup.options { $0.maxTime = 1e-9 })
    #expect(try hasty.run { _ in } == .outOfTime)
    #expect(hasty.finishedSteps == 1)
  }

  @Test func `Rates go by the last pattern that matches, and by layer`() throws {
    let tuner = try TuningSetup.tuner(
      TuningSetup.options {
        $0.learningRate = 1
        $0.layerDecay = 0.5
        $0.learningRates = ["under:layer4=0.25", "is:layer4.1.conv2.weight=0.125"]
      })
    let rates = Dictionary(
      uniqueKeysWithValues: tuner.plan.groups.flatMap { group in
        group.keys.map { ($0, group.learningRate) }
      })
    #expect(rates["fc.weight"] == 10)
    #expect(rates["layer4.0.conv1.weight"] == 0.25)
    #expect(rates["layer4.1.conv2.weight"] == 0.125)
    // Of conv1, bn1, layer1.0 … layer4.1, layer3.1 is two before the head's neighbor.
    #expect(rates["layer3.1.conv1.weight"] == 0.125)
    #expect(rates["conv1.weight"] == 1 / 1024.0)
    #expect(tuner.plan.groups.last?.name == "head")
  }

  @Test func `A pattern that matches nothing is refused`() throws {
    #expect(
      throws: FineTuningError.noSuchParameter(
        pattern: "in:layer9", what: "to be trained,")
    ) { try TuningSetup.tuner(TuningSetup.options { $0.train = ["layer9"] }) }
    #expect(
      throws: FineTuningError.noSuchParameter(
        pattern: "in:layer4", what: "the learning rate for")
    ) {
      // The layer does not learn.
      _ = try TuningSetup.tuner(
        TuningSetup.options {
          $0.train = ["head"]
          $0.learningRates = ["layer4=1"]
        })
    }
  }
}
