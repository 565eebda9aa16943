internal import Synchronization

/// The progress of an operation.
public struct WorkProgress: Sendable, Hashable {
  /// The kind of work.
  public enum Stage: Sendable, Hashable {
    /// Writing an output.
    case writing
    /// Comparing checksums.
    case verifying
    /// Reading tensors for statistics, digests, or differences.
    case reading
  }

  /// The kind of work.
  public let stage: Stage
  /// The number of bytes done.
  public let completed: Int
  /// The total number of bytes; `completed` may end below it if parts need not be read.
  public let total: Int

  /// Creates a progress of `completed` of `total` bytes.
  public init(_ stage: Stage, completed: Int, of total: Int) {
    self.stage = stage
    self.completed = completed
    self.total = total
  }
}

/// Adds the progress of several threads and reports the sum.
package final class ProgressMeter: Sendable {
  private let stage: WorkProgress.Stage
  private let total: Int
  private let completed = Mutex(0)
  private let report: @Sendable (WorkProgress) -> Void

  /// Creates a meter that calls `report` after each addition, by one thread at a time, with
  /// increasing sums.
  package init(
    _ stage: WorkProgress.Stage, of total: Int, _ report: @escaping @Sendable (WorkProgress) -> Void
  ) {
    self.stage = stage
    self.total = total
    self.report = report
  }

  /// A function that adds a number of bytes to a new meter; nil if `report` is nil.
  package static func counter(
    _ stage: WorkProgress.Stage, of total: Int, _ report: (@Sendable (WorkProgress) -> Void)?
  ) -> (@Sendable (Int) -> Void)? {
    guard let report else { return nil }
    let meter = ProgressMeter(stage, of: total, report)
    return { meter.add($0) }
  }

  private func add(_ count: Int) {
    completed.withLock { sum in
      sum = sum.addingReportingOverflow(count).partialValue
      report(WorkProgress(stage, completed: sum, of: total))
    }
  }
}
