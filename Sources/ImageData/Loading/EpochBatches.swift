internal import CkptPlatform
internal import Foundation

/// The batches of one epoch, one after the other.
///
/// Threads decode ahead as far as the loader allows; they end when the last batch was made, when an error was thrown,
/// or when nobody holds this object any more.
public final class EpochBatches: Sequence, IteratorProtocol {
  private let queue: BatchQueue
  private let cancellation: Cancellation?

  /// A picture that was left out, and why.
  public struct Omission: Sendable, Hashable {
    /// The file.
    public let path: String
    /// Why it was left out.
    public let error: ImageError

    /// An image that was left out.
    public init(path: String, error: ImageError) {
      self.path = path
      self.error = error
    }
  }

  /// The pictures that were left out of the batches so far, in the order of the epoch.
  public private(set) var omissions: [Omission] = []

  init(
    _ loader: DataLoader, epoch: Int, plan: EpochPlan, firstBatch: Int, cancellation: Cancellation?
  ) {
    queue = BatchQueue(loader, epoch: epoch, plan: plan, firstBatch: firstBatch)
    self.cancellation = cancellation
    let queue = queue
    for _ in 0..<Swift.max(1, Swift.min(loader.threads, 256)) {
      let thread = Thread { queue.work() }
      thread.stackSize = 1 << 20
      thread.start()
    }
  }

  deinit { queue.stop() }

  /// The next batch, or nil after the last one.
  ///
  /// - Throws: `ImageError` for the first picture of the batch that cannot be read; `CancelledError`.
  public func nextBatch() throws -> ImageBatch? {
    while let made = try queue.take(cancellation) {
      omissions += made.omissions
      // All pictures of a batch may be left out.
      if let batch = made.batch { return batch }
    }
    return nil
  }

  /// The next batch; nil after the last one, and after an error, which `failure` then is.
  public func next() -> ImageBatch? {
    guard failure == nil else { return nil }
    do {
      return try nextBatch()
    } catch {
      failure = error
      return nil
    }
  }

  /// What ended the sequence early, if anything did.
  public private(set) var failure: (any Error)?
}
