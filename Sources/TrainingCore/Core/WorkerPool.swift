internal import CCkptTrainingKernels
internal import CkptPlatform
internal import Foundation
internal import Synchronization

/// Threads that wait for parts of operations: first in a loop, since the next operation usually
/// comes soon, then asleep. Waking threads for each of a step's hundreds of operations would take
/// longer than some of the operations.
final class WorkerPool: @unchecked Sendable {
  static let shared = WorkerPool()

  /// The state of a thread.
  private final class Worker: Sendable {
    /// Increases by one for each part.
    let ticket = Atomic<Int>(0)
    let isAsleep = Atomic<Bool>(false)
    let alarm = DispatchSemaphore(value: 0)
  }

  private let isBusy = Atomic<Bool>(false)
  private let unfinished = Atomic<Int>(0)
  // Both are written by the caller that reserved the pool, before it increases the tickets.
  private var body: ((Int) -> Void)?
  private var workers: [Worker] = []

  /// The number of times that a thread checks for work before it sleeps: about 50 µs.
  private static let patience = 2000

  /// Calls `body` with each number below `count`, with 0 on this thread; returns false without
  /// calling it if another thread is using the pool, or the system has no thread to give.
  func run(_ count: Int, _ body: (Int) -> Void) -> Bool {
    guard
      isBusy.compareExchange(
        expected: false, desired: true, ordering: .acquiringAndReleasing
      ).exchanged
    else { return false }
    while workers.count < count - 1 {
      guard start() else {
        isBusy.store(false, ordering: .releasing)
        return false
      }
    }
    withoutActuallyEscaping(body) { escaping in
      self.body = escaping
      unfinished.store(count - 1, ordering: .sequentiallyConsistent)
      for worker in workers[..<(count - 1)] {
        worker.ticket.wrappingAdd(1, ordering: .sequentiallyConsistent)
        if worker.isAsleep.load(ordering: .sequentiallyConsistent) { worker.alarm.signal() }
      }
      body(0)
      var looks = 0
      while unfinished.load(ordering: .acquiring) > 0 {
        looks += 1
        if looks < Self.patience { ct_pause() } else { sched_yield() }
      }
      self.body = nil
    }
    isBusy.store(false, ordering: .releasing)
    return true
  }

  /// Starts a thread; returns whether the system has one to give.
  private func start() -> Bool {
    let worker = Worker()
    let number = workers.count + 1
    let thread = try? SystemThread(stackSize: 4 << 20) { [unowned self] in
      var done = 0
      while true {
        var looks = 0
        while worker.ticket.load(ordering: .acquiring) == done {
          looks += 1
          if looks < Self.patience {
            ct_pause()
            continue
          }
          // A caller that increases the ticket after this sees it; an earlier increase is seen
          // below.
          worker.isAsleep.store(true, ordering: .sequentiallyConsistent)
          if worker.ticket.load(ordering: .sequentiallyConsistent) == done { worker.alarm.wait() }
          worker.isAsleep.store(false, ordering: .sequentiallyConsistent)
          looks = 0
        }
        done += 1
        self.body?(number)
        self.unfinished.wrappingSubtract(1, ordering: .acquiringAndReleasing)
      }
    }
    thread?.detach()
    guard thread != nil else { return false }
    workers.append(worker)
    return true
  }
}
