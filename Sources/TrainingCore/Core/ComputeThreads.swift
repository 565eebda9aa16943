internal import CkptPlatform
internal import Synchronization

/// The number of threads that operations use, `torch.set_num_threads`.
public enum ComputeThreads {
  private static let wanted = Atomic<Int>(0)

  /// The number of threads; by default the number of processors.
  public static var count: Int {
    get {
      let value = wanted.load(ordering: .relaxed)
      return value > 0 ? value : Parallel.processorCount
    }
    set { wanted.store(max(newValue, 1), ordering: .relaxed) }
  }

  /// Calls `body` with ranges that together make `0..<count`, on several threads if there is enough
  /// work: no range is shorter than `grain`, unless there is only one.
  static func split(_ count: Int, grain: Int = 1, _ body: (Range<Int>) -> Void) {
    let parts = min(self.count, count / max(grain, 1))
    guard parts > 1 else {
      if count > 0 { body(0..<count) }
      return
    }
    workers(parts) { part in
      body(count * part / parts..<count * (part + 1) / parts)
    }
  }

  /// Calls `body` with each number below `count`, each on a thread of its own.
  ///
  /// The closures write to disjoint memory through pointers, which the compiler cannot see.
  static func workers(_ count: Int, _ body: (Int) -> Void) {
    guard count > 1 else { return body(0) }
    if !WorkerPool.shared.run(count, body) { for worker in 0..<count { body(worker) } }
  }
}
