public import CkptPlatform

/// Batches of a folder's pictures, decoded and transformed on threads of their own, ahead of whoever uses them.
///
/// What an epoch gives depends on the folder, the seed and the epoch alone, never on the number of threads.
public struct DataLoader: Sendable {
  /// The pictures.
  public var folder: ImageFolder
  /// What becomes of them.
  public var transform: ImageTransform
  /// How many samples a batch has; the last one may have fewer.
  public var batchSize: Int
  /// In which order they come.
  public var order: SampleOrder
  /// Whether a last batch of fewer samples is left out.
  public var dropsLast: Bool
  /// What chance begins with.
  public var seed: UInt64
  /// How many threads decode.
  public var threads: Int
  /// How many batches may be finished or begun before they are asked for.
  public var lookAhead: Int
  /// How files are decoded.
  public var decoder: ImageDecoder
  /// Whether a picture that cannot be read is left out and listed, rather than an error.
  public var skipsBad: Bool

  /// A loader; without `threads` it uses as many as the machine runs at once.
  public init(
    _ folder: ImageFolder, transform: ImageTransform, batchSize: Int = 32,
    order: SampleOrder = .asFound, dropsLast: Bool = false, seed: UInt64 = 0,
    threads: Int? = nil, lookAhead: Int = 2,
    decoder: ImageDecoder = ImageDecoder(), skipsBad: Bool = false
  ) {
    self.folder = folder
    self.transform = transform
    self.batchSize = batchSize
    self.order = order
    self.dropsLast = dropsLast
    self.seed = seed
    self.threads = threads ?? Parallel.processorCount
    self.lookAhead = lookAhead
    self.decoder = decoder
    self.skipsBad = skipsBad
  }

  /// How many batches an epoch has, where no picture is left out.
  public var batchCount: Int { batchCount(of: folder.samples.count) }

  func batchCount(of samples: Int) -> Int {
    guard batchSize > 0 else { return 0 }
    return dropsLast ? samples / batchSize : (samples + batchSize - 1) / batchSize
  }

  /// The indices of an epoch's samples in their folder, in the order in which they are shown; reads nothing.
  public func order(epoch: Int) -> [Int] { order.places(in: folder, seed: seed, epoch: epoch) }

  /// What an epoch shows, with all that chance decides; reads the headers of the files alone.
  ///
  /// - Throws: `ImageError` for the first file whose header cannot be read.
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

  /// The batches of an epoch.
  ///
  /// - Parameters:
  ///   - epoch: The number of the epoch.
  ///   - plan: The order and the decisions; nil for those that the seed and the epoch decide.
  ///   - firstBatch: The index of the batch to begin with; the batches are those of the whole epoch from there on.
  ///   - cancellation: Ends the epoch early.
  /// - Throws: `ImageError` where the loader or the plan makes no sense.
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

  /// The samples of a batch, by their numbers in the epoch.
  func samples(of batch: Int, in plan: EpochPlan) -> Range<Int> {
    batch * batchSize..<min(plan.order.count, (batch + 1) * batchSize)
  }
}
