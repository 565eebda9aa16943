internal import Dispatch
internal import Foundation
internal import Synchronization

/// Work on several threads.
package enum Parallel {
  /// How many threads the machine runs at once.
  package static var processorCount: Int { ProcessInfo.processInfo.activeProcessorCount }

  /// Runs `body` once for each number below `workers`, at the same time where threads allow it.
  ///
  /// - Throws: the first error that a worker threw, when all have ended.
  package static func run(workers: Int, _ body: @Sendable (Int) throws -> Void) throws {
    if workers <= 1 { return try body(0) }
    let first = Mutex<(any Error)?>(nil)
    DispatchQueue.concurrentPerform(iterations: workers) { worker in
      do {
        try body(worker)
      } catch {
        first.withLock { if $0 == nil { $0 = error } }
      }
    }
    if let error = first.withLock({ $0 }) { throw error }
  }
}
