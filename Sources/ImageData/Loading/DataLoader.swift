public import CkptPlatform

/// Loads a folder's images in batches, decoded and transformed in advance by background threads.
///
/// The content of an epoch depends on the folder, the settings, the seed, and the epoch only, never
/// on the number of threads.
public struct DataLoader: Sendable {
  /// The images.
  public var folder: ImageFolder
  /// The transform applied to each image.
  public var transform: ImageTransform
  /// The number of samples in a batch; the last one may have fewer.
  public var batchSize: Int
  /// The order of the samples.
  public var order: SampleOrder
  /// Whether a last batch with fewer samples is dropped.
  public var dropsLast: Bool
  /// Whether a batch of one sample is joined to the batch before it, or the first one to the batch
  /// after it: the last batch of an epoch, or one whose other images were skipped. Batch
  /// normalization cannot be trained on one value per channel.
  public var joinsSingle: Bool
  /// The seed of all random choices.
  public var seed: UInt64
  /// The number of decoding threads.
  public var threads: Int
  /// The maximum number of batches that are started before they are requested.
  public var lookAhead: Int
  /// The decoder of the image files.
  public var decoder: ImageDecoder
  /// Whether images that cannot be read are skipped and listed, rather than being an error.
  public var skipsBad: Bool

  /// Creates a loader; by default with as many threads as the machine has processors.
  public init(
    _ folder: ImageFolder, transform: ImageTransform, batchSize: Int = 32,
    order: SampleOrder = .asFound, dropsLast: Bool = false, joinsSingle: Bool = false,
    seed: UInt64 = 0,
    threads: Int? = nil, lookAhead: Int = 2,
    decoder: ImageDecoder = ImageDecoder(), skipsBad: Bool = false
  ) {
    self.folder = folder
    self.transform = transform
    self.batchSize = batchSize
    self.order = order
    self.dropsLast = dropsLast
    self.joinsSingle = joinsSingle
    self.seed = seed
    self.threads = threads ?? Parallel.processorCount
    self.lookAhead = lookAhead
    self.decoder = decoder
    self.skipsBad = skipsBad
  }

  /// The number of batches in an epoch, if no image is skipped.
  public var batchCount: Int { batchCount(of: folder.samples.count) }

  /// Whether batches are joined that skipped images leave with one sample.
  package var joinsAfterOmissions: Bool { joinsSingle && skipsBad }

  /// The number of batches in an epoch of `samples` samples, if no image is skipped.
  func batchCount(of samples: Int) -> Int {
    guard batchSize > 0 else { return 0 }
    let isJoined = joinsSingle && samples > batchSize && samples % batchSize == 1
    return dropsLast || isJoined ? samples / batchSize : (samples + batchSize - 1) / batchSize
  }

  /// The indices of an epoch's samples in their folder, in the order in which they are shown; reads
  /// nothing.
  public func order(epoch: Int) -> [Int] { order.places(in: folder, seed: seed, epoch: epoch) }

  /// Computes the order and all random decisions of an epoch; reads only the headers of the files.
  ///
  /// - Throws: `ImageError` for the first file whose header cannot be read, or if the transform is
  ///   invalid.
  public func plan(epoch: Int) throws(ImageError) -> EpochPlan {
    try transform.check()
    let places = order(epoch: epoch)
    var decisions: [ImageTransform.Decisions] = []
    for (number, place) in places.enumerated() {
      let found = try decoder.describe(folder.samples[place].path)
      let turns =
        found.orientation >= 5 && (found.format == .tiff || decoder.appliesOrientation)
      var random = ImageRandom(seed: seed, epoch: epoch, index: number)
      decisions.append(
        transform.decisions(
          width: turns ? found.height : found.width, height: turns ? found.width : found.height,
          random: &random))
    }
    return EpochPlan(order: places, decisions: decisions)
  }

  /// Starts an epoch and returns its batches.
  ///
  /// - Parameters:
  ///   - epoch: the number of the epoch.
  ///   - plan: the order and the decisions; nil for those that the seed and the epoch determine.
  ///   - firstBatch: the index of the first batch; preceding batches of the epoch are skipped.
  ///   - cancellation: ends the epoch early.
  /// - Throws: `ImageError.badRequest` if the transform, the batch size, or the plan is invalid.
  public func epoch(
    _ epoch: Int, plan: EpochPlan? = nil, startingAt firstBatch: Int = 0,
    cancellation: Cancellation? = nil
  ) throws(ImageError) -> EpochBatches {
    try transform.check()
    guard batchSize > 0, batchSize <= 1 << 20 else {
      throw .badRequest("batches of \(batchSize) samples")
    }
    let plan = plan ?? EpochPlan(order: order(epoch: epoch))
    guard plan.order.allSatisfy(folder.samples.indices.contains),
      plan.decisions.map({ $0.count == plan.order.count }) ?? true
    else { throw .badRequest("a plan that does not fit the folder") }
    guard firstBatch >= 0, firstBatch <= batchCount(of: plan.order.count) else {
      throw .badRequest("no batch \(firstBatch) in an epoch of \(batchCount(of: plan.order.count))")
    }
    return EpochBatches(
      self, epoch: epoch, plan: plan, firstBatch: firstBatch, cancellation: cancellation)
  }

  /// The positions of a batch's samples in the epoch.
  func samples(of batch: Int, in plan: EpochPlan) -> Range<Int> {
    samples(of: batch, count: plan.order.count)
  }

  /// The samples of a batch of an epoch of `count` samples, by their indices in the epoch.
  package func samples(of batch: Int, count: Int) -> Range<Int> {
    let isLast = batch == batchCount(of: count) - 1
    let end = (batch + 1) * batchSize
    return batch
      * batchSize..<min(
        count, isLast && joinsSingle && !dropsLast && end + 1 == count ? count : end)
  }
}
