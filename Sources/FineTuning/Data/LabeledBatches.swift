internal import ImageData
internal import TrainingCore

/// A batch of a model's inputs, with the classes.
struct LabeledBatch {
  /// The images, of shape [batch, 3, height, width], or their features, of shape [batch, …].
  let inputs: Variable
  /// The class index of each image, of shape [batch]; with mixup, the weight of each class, of
  /// shape [batch, classes].
  let targets: Variable
  /// The class index of each image.
  let labels: [Int]
  /// The index of each image in the folder.
  let places: [Int]
  /// The indices of the batches in the epoch that the images are of; see `ImageBatch.numbers`.
  let numbers: Range<Int>
}

/// The batches of one epoch, made from images or from kept features. The batches have the same
/// images in both cases.
final class LabeledBatches {
  private enum Source {
    case images(EpochBatches)
    case features(FeatureCache, FeatureBatches)
  }

  private let loader: DataLoader
  private let mixup: Mixup?
  private let epoch: Int
  private var source: Source

  /// Creates the batches of an epoch.
  ///
  /// - Parameters:
  ///   - loader: determines the images of each batch and decodes them.
  ///   - features: the features of all images, if these are kept; nil to decode the images.
  ///   - mixup: how images are blended; nil for no mixup. Features are never blended.
  ///   - epoch: the number of the epoch, from 0.
  ///   - first: the index of the first batch.
  /// - Throws: `ImageError.badRequest` if a setting of the loader is invalid.
  init(
    _ loader: DataLoader, features: FeatureCache? = nil, mixup: Mixup? = nil, epoch: Int = 0,
    startingAt first: Int = 0
  ) throws {
    (self.loader, self.mixup, self.epoch) = (loader, mixup, epoch)
    source =
      if let features {
        .features(
          features,
          FeatureBatches(loader, order: loader.order(epoch: epoch), number: first))
      } else {
        .images(try loader.epoch(epoch, startingAt: first))
      }
  }

  /// The images that were skipped so far.
  var omissions: [EpochBatches.Omission] {
    switch source {
    case .images(let batches): batches.omissions
    case .features(let cache, _): cache.omissions
    }
  }

  /// The next batch; nil after the last one.
  ///
  /// - Throws: `ImageError` for an image that cannot be read, unless those are skipped;
  ///   `TrainingError.outOfMemory`.
  func next() throws -> LabeledBatch? {
    switch source {
    case .images(let batches):
      guard let batch = try batches.nextBatch() else { return nil }
      guard let mixup else {
        return LabeledBatch(
          inputs: try batch.inputs(), targets: try batch.targets(), labels: batch.labels,
          places: batch.places, numbers: batch.numbers)
      }
      let classes = loader.folder.classes.count
      let (values, targets) = mixup.mixed(
        batch, classCount: classes, seed: loader.seed, epoch: epoch,
        number: batch.numbers.lowerBound)
      return LabeledBatch(
        inputs: try values.inputs(shape: batch.shape),
        targets: try Variable(targets, shape: [batch.count, classes]), labels: batch.labels,
        places: batch.places, numbers: batch.numbers)
    case .features(let cache, var batches):
      guard let batch = batches.next(of: cache) else { return nil }
      source = .features(cache, batches)
      let labels = batch.places.map { loader.folder.samples[$0].label }
      return LabeledBatch(
        inputs: try cache.features(of: batch.places), targets: try Variable(indices: labels),
        labels: labels, places: batch.places, numbers: batch.numbers)
    }
  }
}

/// The images of each batch of an epoch whose features are kept.
private struct FeatureBatches {
  /// The images of a batch, by their indices in the folder.
  struct Batch: JoinableBatch {
    let numbers: Range<Int>
    let places: [Int]

    var count: Int { places.count }

    func joined(to next: Batch) -> Batch {
      Batch(
        numbers: numbers.lowerBound..<next.numbers.upperBound, places: places + next.places)
    }
  }

  let loader: DataLoader
  /// The images of the epoch, by their indices in the folder.
  let order: [Int]
  /// The index of the next batch in the epoch.
  var number: Int
  private var joiner = BatchJoiner<Batch>()

  init(_ loader: DataLoader, order: [Int], number: Int) {
    (self.loader, self.order, self.number) = (loader, order, number)
  }

  /// The next batch that is not empty; nil after the last one.
  mutating func next(of cache: FeatureCache) -> Batch? {
    while number < loader.batchCount {
      let places = order[loader.samples(of: number, count: order.count)].filter(cache.contains)
      let batch = Batch(numbers: number..<number + 1, places: places)
      number += 1
      guard !places.isEmpty else { continue }
      guard loader.joinsAfterOmissions else { return batch }
      if let complete = joiner.add(batch) { return complete }
    }
    return joiner.finish()
  }
}
