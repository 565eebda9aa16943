internal import Synchronization

/// Counts what is done on behalf of a task, so that tests can tell that nothing is done twice.
///
/// Nothing is counted unless somebody asks: `WorkCounters.$current.withValue(counters) { … }`. A file counts what is
/// read from it for whoever had it opened, on any thread.
package final class WorkCounters: Sendable {
  /// The counters of the task; nil if nobody counts.
  @TaskLocal package static var current: WorkCounters?

  /// What is counted.
  package enum Work: Int, CaseIterable, Sendable {
    /// Files that were opened for reading.
    case open
    /// Bytes that were read.
    case byteRead
    /// Pickles that were decoded.
    case pickleDecoded
    /// Outputs, and archives in them, that were laid out.
    case layout
    /// State dicts whose keys were compared with a list of steps.
    case keyReport
    /// Searches for optimizers' states.
    case optimizerSearch
  }

  private let counts = Mutex([Int](repeating: 0, count: Work.allCases.count))

  /// Nothing was counted yet.
  package init() {}

  /// How often something was done.
  package subscript(work: Work) -> Int { counts.withLock { $0[work.rawValue] } }

  /// Counts something.
  package func add(_ work: Work, _ count: Int = 1) {
    counts.withLock { $0[work.rawValue] += count }
  }

  /// Counts something for the task, if anybody does.
  package static func add(_ work: Work, _ count: Int = 1) { current?.add(work, count) }
}
