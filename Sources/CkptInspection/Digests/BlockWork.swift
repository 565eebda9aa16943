internal import CkptBytes
internal import CkptPlatform
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

  private struct State<Partial, Result> {
    /// What the item's parts up to `done` came to; nil once it is finished.
    var sums: [Int: Partial] = [:]
    var done: [Int: Int] = [:]
    /// Parts that came before those in front of them.
    var early: [Int: [Int: Partial]] = [:]
    var results: [Result?]
  }

  /// Runs `body` for every part of every item, joins what the parts come to in their order, and finishes it.
  ///
  /// Only what is being worked on is held, so that memory does not grow with the number of parts.
  /// - Parameters:
  ///   - empty: what no parts come to.
  ///   - join: adds what the next part comes to.
  ///   - finish: what is kept of an item.
  ///   - body: gets an item and neighboring parts of it, as runs of elements, and gives what each comes to.
  func run<Partial: Sendable, Result: Sendable>(
    _ items: [Item], empty: Partial, join: @Sendable (inout Partial, Partial) -> Void,
    finish: @Sendable (Partial) -> Result,
    _ body: @Sendable (_ item: Int, _ parts: [Range<Int>]) throws -> [Partial]
  ) throws -> [Result] {
    let counts = items.map { ($0.count + Self.partSize - 1) / Self.partSize }
    var jobs: [Job] = []
    for (item, count) in counts.enumerated() where count > 0 {
      if items[item].isRandomAccess {
        jobs += (0..<count).map { Job(item: item, parts: $0..<$0 + 1) }
      } else {
        jobs.append(Job(item: item, parts: 0..<count))
      }
    }
    let state = Mutex(
      State<Partial, Result>(results: counts.map { $0 == 0 ? finish(empty) : nil }))
    try Parallel.forEach(of: jobs, workers: workers, cancellation: cancellation) { job in
      let ranges = job.parts.map { part in
        part * Self.partSize..<min((part + 1) * Self.partSize, items[job.item].count)
      }
      let partials = try body(job.item, ranges)
      state.withLock { state in
        for (part, partial) in zip(job.parts, partials) {
          state.early[job.item, default: [:]][part] = partial
        }
        var sum = state.sums.removeValue(forKey: job.item) ?? empty
        var done = state.done[job.item] ?? 0
        while let next = state.early[job.item]?.removeValue(forKey: done) {
          join(&sum, next)
          done += 1
        }
        if done < counts[job.item] {
          state.sums[job.item] = sum
          state.done[job.item] = done
        } else {
          state.results[job.item] = finish(sum)
          state.done[job.item] = nil
          state.early[job.item] = nil
        }
      }
    }
    return state.withLock { $0.results }.compactMap(\.self)
  }
}
