internal import Synchronization

/// Counts the operations of a task, so that tests can check that nothing is done twice.
///
/// Operations are counted only within `WorkCounters.$current.withValue(counters) { … }`. A file
/// counts its reads, on any thread, for the task that opened it.
package final class WorkCounters: Sendable {
  /// The counters of the current task; nil if nothing is counted.
  @TaskLocal package static var current: WorkCounters?

  /// The kinds of operations.
  package enum Work: Int, CaseIterable, Sendable {
    /// A file was opened for reading.
    case open
    /// A byte was read.
    case byteRead
    /// A pickle was decoded.
    case pickleDecoded
    /// The layout of an output, or of an archive in it, was computed.
    case layout
    /// The keys of a state dict were matched against a list of steps.
    case keyReport
    /// A checkpoint was searched for optimizer states.
    case optimizerSearch
  }

  private let counts = Mutex([Int](repeating: 0, count: Work.allCases.count))

  /// Creates counters of zero.
  package init() {}

  /// The number of operations of a kind.
  package subscript(work: Work) -> Int { counts.withLock { $0[work.rawValue] } }

  /// Adds to a counter.
  package func add(_ work: Work, _ count: Int = 1) {
    counts.withLock { $0[work.rawValue] += count }
  }

  /// Adds to a counter of the current task, if operations are counted.
  package static func add(_ work: Work, _ count: Int = 1) { current?.add(work, count) }
}
