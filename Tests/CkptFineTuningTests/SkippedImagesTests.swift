import CkptStateDicts
import CkptTensors
import CkptTestSupport
import FineTuning
import Foundation
import ImageData
import ModelZoo
import Testing
import TrainingCore

/// Images whose damage is found only when they are decoded, and that are skipped.
struct SkippedImagesTests {
  let folder: TemporaryFolder
  let data: String

  init() throws {
    folder = try TemporaryFolder()
    data = folder.file("images")
    try FileManager.default.copyItem(atPath: TuningSetup.shapes, toPath: data)
  }

  /// Cuts off images that are trained on, so that their headers can still be read.
  private func damage(_ numbers: [Int], seed: UInt64 = 0) throws -> [String] {
    let samples = try TrainingImages(data, seed: seed).training.samples
    return try numbers.map { number in
      let path = samples[number].path
      let bytes = try contents(of: path)
      _ = try folder.write(
        Array(bytes.prefix(bytes.count / 2)), to: String(path.dropFirst(folder.path.count + 1)))
      return path
    }
  }

  private func options(_ change: (inout FineTuningOptions) -> Void = { _ in }) -> FineTuningOptions
  {
    TuningSetup.options {
      $0.data = data
      $0.skipsBad = true
      change(&$0)
    }
  }

  @Test(arguments: [1, 3])
  func `Batch normalization is trained though images are skipped, and runs continue`(
    _ accumulate: Int
  ) throws {
    // Of pairs, one image is left, or none.
    let damaged = try damage([0, 5, 6, 11, 12, 13, 14, 20, 29])
    let options = self.options { ($0.batchSize, $0.accumulate, $0.mixup) = (2, accumulate, 0.2) }
    let tuner = try TuningSetup.tuner(options)
    #expect(try tuner.run { _ in } == .finished)
    #expect(Set(tuner.omissions.map(\.path)) == Set(damaged))
    #expect(tuner.omissions.count == damaged.count)
    try StoppedRun.check(options, in: folder)
  }

  /// The epochs of a run in which only the head learns, from images that are always the same.
  private func head(_ change: (inout FineTuningOptions) -> Void) throws -> FineTuner {
    let tuner = try TuningSetup.tuner(
      options {
        ($0.train, $0.augment, $0.schedule) = (["head"], .none, .constant)
        change(&$0)
      })
    _ = try tuner.run { _ in }
    return tuner
  }

  @Test func `Kept features come in the same batches as images`() throws {
    _ = try damage([1, 2, 9, 17, 25])
    // With one epoch no features are kept.
    let images = try head { ($0.epochs, $0.batchSize, $0.learningRate) = (1, 2, 0.01) }
    let features = try head { ($0.epochs, $0.batchSize, $0.learningRate) = (2, 2, 0.01) }
    #expect(!images.keepsTrainingFeatures && features.keepsTrainingFeatures)
    let (one, other) = (images.metrics[0], features.metrics[0])
    #expect(abs(one.trainLoss - other.trainLoss) < 1e-5)
    #expect(abs(one.validationLoss - other.validationLoss) < 1e-5)
  }

  @Test func `A step of several batches is that of one batch of the same images`() throws {
    _ = try damage([3, 4, 18])
    func weights(_ batch: Int, _ accumulate: Int) throws -> [Float] {
      let tuner = try head {
        ($0.epochs, $0.batchSize, $0.accumulate, $0.learningRate) = (1, batch, accumulate, 0.1)
      }
      return try #require(try tuner.start.model.module.stateDict()["fc.weight"]?.floats())
    }
    let (one, several) = (try weights(30, 1), try weights(4, 8))
    #expect(zip(one, several).allSatisfy { abs($0 - $1) < 1e-5 })
    // The step is large enough to tell.
    let other = try weights(4, 1)
    #expect(!zip(one, other).allSatisfy { abs($0 - $1) < 1e-3 })
  }
}
