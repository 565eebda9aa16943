internal import Platform
internal import Synchronization

/// Work on elements, cut into parts of a fixed size that several threads take one after the other.
///
/// What a part gives does not depend on who computes it, and parts are put together in their order: so the
/// result is the same to the last bit for any number of threads.
struct BlockWork: Sendable {
  /// How many elements a part has; the last one of an item may have fewer.
  static let partSize = 1 << 18

  /// A run of elements that is worked on as one.
  struct Item: Sendable {
    /// How many elements it has.
    var count: Int
    /// Whether a part can be had without those before it.
    var isRandomAccess: Bool
  }

  /// How many threads work.
  var workers = min(Parallel.processorCount, 4)
  /// Asks the work to stop.
  var cancellation = Cancellation()

  private struct Job {
    let item: Int
    let parts: Range<Int>
  }

  private struct State<Partial> {
    var next = 0
    var isStopped = false
    var found: [[Partial?]]
  }

  /// Runs `body` for every part of every item.
  ///
  /// - Parameter body: gets an item and neighbouring parts of it, as runs of elements, and gives what each
  ///   part comes to.
  /// - Returns: for each item what its parts came to, in order.
  func run<Partial: Sendable>(
    _ items: [Item], _ body: @Sendable (_ item: Int, _ parts: [Range<Int>]) throws -> [Partial]
  ) throws -> [[Partial]] {
    let counts = items.map { ($0.count + Self.partSize - 1) / Self.partSize }
    var jobs: [Job] = []
    for (item, count) in counts.enumerated() where count > 0 {
      if items[item].isRandomAccess {
        jobs += (0..<count).map { Job(item: item, parts: $0..<$0 + 1) }
      } else {
        jobs.append(Job(item: item, parts: 0..<count))
      }
    }
    let queue = jobs
    let state = Mutex(
      State<Partial>(found: counts.map { [Partial?](repeating: nil, count: $0) }))
    try Parallel.run(workers: max(1, min(workers, queue.count))) { _ in
      while true {
        let job: Job? = state.withLock { state in
          guard !state.isStopped, state.next < queue.count else { return nil }
          defer { state.next += 1 }
          return queue[state.next]
        }
        guard let job else { return }
        do {
          try cancellation.check()
          let ranges = job.parts.map { part in
            part * Self.partSize..<min((part + 1) * Self.partSize, items[job.item].count)
          }
          let partials = try body(job.item, ranges)
          state.withLock { state in
            for (part, partial) in zip(job.parts, partials) {
              state.found[job.item][part] = partial
            }
          }
        } catch {
          state.withLock { $0.isStopped = true }
          throw error
        }
      }
    }
    return state.withLock { $0.found }.map { $0.compactMap(\.self) }
  }
}
