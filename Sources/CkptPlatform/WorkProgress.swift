internal import Synchronization

/// How far long work has come.
public struct WorkProgress: Sendable, Hashable {
  /// What is being done.
  public enum Stage: Sendable, Hashable {
    /// An output is written.
    case writing
    /// Checksums are compared with the bytes.
    case verifying
    /// Tensors are read: for statistics, digests or differences.
    case reading
  }

  /// What is being done.
  public let stage: Stage
  /// How many bytes are done.
  public let completed: Int
  /// How many bytes there are in all; `completed` reaches it unless parts need not be looked at.
  public let total: Int

  /// `completed` of `total` bytes.
  public init(_ stage: Stage, completed: Int, of total: Int) {
    self.stage = stage
    self.completed = completed
    self.total = total
  }
}

/// Adds up what several threads have done, and tells of the sum.
package final class ProgressMeter: Sendable {
  private let stage: WorkProgress.Stage
  private let total: Int
  private let completed = Mutex(0)
  private let report: @Sendable (WorkProgress) -> Void

  /// Tells `report` of each step, one at a time, in the order of their sums.
  package init(
    _ stage: WorkProgress.Stage, of total: Int, _ report: @escaping @Sendable (WorkProgress) -> Void
  ) {
    self.stage = stage
    self.total = total
    self.report = report
  }

  /// What adds a number of bytes; nil if nobody wants to know.
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
