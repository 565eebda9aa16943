internal import CkptPlatform

/// The batches of one epoch, in order.
///
/// Background threads decode as far ahead as the loader allows. They end after the last batch,
/// after an error, or when this object is released.
public final class EpochBatches: Sequence, IteratorProtocol {
  private let queue: BatchQueue
  private let cancellation: Cancellation?
  /// Joins batches of one sample; nil if they stay as they are.
  private var joiner: BatchJoiner<ImageBatch>?

  /// An image that was skipped, and the reason.
  public struct Omission: Sendable, Hashable {
    /// The path of the file.
    public let path: String
    /// The error that the image caused.
    public let error: ImageError

    /// An image that was left out.
    public init(path: String, error: ImageError) {
      self.path = path
      self.error = error
    }
  }

  /// The images that were skipped in the batches so far, in the order of the epoch.
  public private(set) var omissions: [Omission] = []

  init(
    _ loader: DataLoader, epoch: Int, plan: EpochPlan, firstBatch: Int, cancellation: Cancellation?
  ) {
    queue = BatchQueue(loader, epoch: epoch, plan: plan, firstBatch: firstBatch)
    self.cancellation = cancellation
    joiner = loader.joinsAfterOmissions ? BatchJoiner() : nil
    let queue = queue
    var started = 0
    for _ in 0..<Swift.max(1, Swift.min(loader.threads, 256)) {
      do throws(ThreadError) {
        try SystemThread(stackSize: 1 << 20) { queue.work() }.detach()
      } catch {
        // Fewer threads do the same work.
        if started == 0 { queue.fail(error) }
        break
      }
      started += 1
    }
  }

  deinit { queue.stop() }

  /// The next batch; nil after the last one.
  ///
  /// - Throws: `ImageError` for the first image of the batch that cannot be read, unless those are
  ///   skipped; `CancelledError`.
  public func nextBatch() throws -> ImageBatch? {
    while let made = try queue.take(cancellation) {
      omissions += made.omissions
      // A batch may be empty because all of its images were skipped.
      guard let batch = made.batch else { continue }
      guard joiner != nil else { return batch }
      if let complete = joiner?.add(batch) { return complete }
    }
    return joiner?.finish()
  }

  /// The next batch; nil after the last one, or after an error, which is then stored in `failure`.
  public func next() -> ImageBatch? {
    guard failure == nil else { return nil }
    do {
      return try nextBatch()
    } catch {
      failure = error
      return nil
    }
  }

  /// The error that ended the sequence early; nil if there was none.
  public private(set) var failure: (any Error)?
}
