internal import ImageData
internal import TrainingCore

/// A batch as the model is trained on it.
struct TrainingBatch {
  /// What is computed from: images, or the features that a frozen backbone has of them.
  let inputs: Variable
  /// Class indices, or with mixup how much of each class there is.
  let targets: Variable
  /// The class of each image.
  let labels: [Int]
}

/// The batches of one epoch, from images or from kept features.
final class TrainingBatches {
  private enum Source {
    case images(EpochBatches)
    case features(FeatureCache, order: [Int], loader: DataLoader)
  }

  private let source: Source
  private let options: FineTuningOptions
  private let epoch: Int
  private let classCount: Int
  private var number: Int

  /// The batches of an epoch from a batch on.
  ///
  /// - Throws: `ImageError` where the loader makes no sense.
  init(
    _ loader: DataLoader, features: FeatureCache?, _ options: FineTuningOptions, epoch: Int,
    startingAt first: Int
  ) throws {
    self.options = options
    self.epoch = epoch
    classCount = loader.folder.classes.count
    number = first
    source =
      if let features {
        .features(features, order: loader.order(epoch: epoch), loader: loader)
      } else {
        .images(try loader.epoch(epoch, startingAt: first))
      }
  }

  /// The images that were left out so far.
  var omissions: [EpochBatches.Omission] {
    switch source {
    case .images(let batches): batches.omissions
    case .features(let cache, _, _): cache.omissions
    }
  }

  /// The next batch; nil after the last one.
  ///
  /// - Throws: `ImageError` for an image that cannot be read; `TrainingError.outOfMemory`.
  func next() throws -> TrainingBatch? {
    defer { number += 1 }
    switch source {
    case .images(let batches):
      guard let batch = try batches.nextBatch() else { return nil }
      guard options.mixup > 0 else {
        return TrainingBatch(
          inputs: try batch.inputs(), targets: try batch.targets(), labels: batch.labels)
      }
      let (values, targets) = Mixup(alpha: options.mixup).mixed(
        batch, classCount: classCount, seed: options.seed, epoch: epoch, number: number)
      return TrainingBatch(
        inputs: try values.inputs(shape: batch.shape),
        targets: try Variable(targets, shape: [batch.count, classCount]), labels: batch.labels)
    case .features(let cache, let order, let loader):
      while number < loader.batchCount {
        if let batch = try cache.batch(order[loader.samples(of: number, count: order.count)]) {
          return TrainingBatch(
            inputs: batch.features, targets: batch.targets,
            labels: try batch.targets.integers())
        }
        number += 1
      }
      return nil
    }
  }
}
