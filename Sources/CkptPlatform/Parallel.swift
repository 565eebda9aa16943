internal import Dispatch
internal import Foundation
internal import Synchronization

/// Work on several threads.
package enum Parallel {
  /// How many threads the machine runs at once.
  package static var processorCount: Int { ProcessInfo.processInfo.activeProcessorCount }

  /// Calls `body` for each of `items`, on several threads at the same time, which take the items in their order.
  ///
  /// After an error no more items are taken.
  ///
  /// - Parameters:
  ///   - workers: how many threads work at most.
  ///   - cancellation: asked before each item.
  ///   - room: makes what a thread keeps for all items that it takes, such as memory for a block.
  ///   - body: gets an item and its thread's room.
  /// - Throws: of the errors of `body`, that of the first item in their order, whichever thread came upon its own
  ///   first; `CancelledError`.
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

  /// The same for work that keeps nothing from one item to the next.
  package static func forEach<Item: Sendable>(
    of items: [Item], workers: Int, cancellation: Cancellation? = nil,
    _ body: @Sendable (Item) throws -> Void
  ) throws {
    try forEach(of: items, workers: workers, cancellation: cancellation, room: {}) { item, _ in
      try body(item)
    }
  }

  /// Calls `body` on as many threads as `workers` says, this one for 1 or fewer, and waits for all.
  private static func run(workers: Int, _ body: @Sendable () -> Void) {
    guard workers > 1 else { return body() }
    DispatchQueue.concurrentPerform(iterations: workers) { _ in body() }
  }
}
