internal import Foundation
internal import Synchronization

/// Runs work on several threads.
package enum Parallel {
  /// The number of threads that the machine runs at the same time.
  package static var processorCount: Int { ProcessInfo.processInfo.activeProcessorCount }

  /// Calls `body` for each of `items` on several threads, which start the items in order.
  ///
  /// After an error, no more items are started.
  ///
  /// - Parameters:
  ///   - workers: the maximum number of threads.
  ///   - cancellation: checked before each item.
  ///   - room: creates the state that a thread reuses for all of its items, such as memory for a
  ///     block.
  ///   - body: processes an item, given its thread's state.
  /// - Throws: the error of `body` for the first failed item in the order of the items, independent
  ///   of timing; `CancelledError`.
  package static func forEach<Item: Sendable, Room: ~Copyable>(
    of items: [Item], workers: Int, cancellation: Cancellation? = nil,
    room makeRoom: @Sendable () throws -> Room,
    _ body: @Sendable (_ item: Item, _ room: inout Room) throws -> Void
  ) throws {
    let next = Atomic(0)
    let failure = Mutex<(index: Int, error: any Error)?>(nil)
    let isStopped = Atomic(false)
    run(workers: min(workers, items.count)) {
      var index = 0
      do {
        var room = try makeRoom()
        while !isStopped.load(ordering: .relaxed) {
          index = next.wrappingAdd(1, ordering: .relaxed).oldValue
          guard index < items.count else { return }
          try cancellation?.check()
          try body(items[index], &room)
        }
      } catch {
        isStopped.store(true, ordering: .relaxed)
        failure.withLock { first in
          if first.map({ index < $0.index }) ?? true { first = (index, error) }
        }
      }
    }
    if let failure = failure.withLock({ $0 }) { throw failure.error }
  }

  /// Calls `body` for each of `items` on several threads, without state per thread.
  ///
  /// - Throws: as the general form.
  package static func forEach<Item: Sendable>(
    of items: [Item], workers: Int, cancellation: Cancellation? = nil,
    _ body: @Sendable (Item) throws -> Void
  ) throws {
    try forEach(of: items, workers: workers, cancellation: cancellation, room: {}) { item, _ in
      try body(item)
    }
  }

  /// Calls `body` once on each of `workers` threads, one of which is the current one, and waits for
  /// all. If the system has no more threads to give, there are fewer.
  private static func run(workers: Int, _ body: @Sendable () -> Void) {
    guard workers > 1 else { return body() }
    withoutActuallyEscaping(body) { body in
      var threads: [SystemThread] = []
      for _ in 1..<workers {
        guard let thread = try? SystemThread(body) else { break }
        threads.append(thread)
      }
      body()
      for thread in threads { thread.join() }
    }
  }
}
