internal import CkptBytes
internal import CkptPlatform
internal import Synchronization

/// Processes the elements of several items in parts of a fixed size, on several threads.
///
/// A part's result does not depend on the thread, and results are joined in the order of the parts,
/// so the total is bit-for-bit the same for any number of threads.
struct BlockWork: Sendable {
  /// The number of elements in a part; the last part of an item may have fewer.
  static let partSize = 1 << 18

  /// A sequence of elements with one result.
  struct Item: Sendable {
    /// The number of elements.
    var count: Int
    /// Whether a part can be read without reading those before it.
    var isRandomAccess: Bool
    /// The number of parts that a thread processes in one go; larger where starting to read is
    /// expensive.
    var grain = 1
  }

  /// The number of threads.
  var workers = min(Parallel.processorCount, 4)
  /// Cancels the work.
  var cancellation = Cancellation()

  /// Consecutive parts of an item that one thread processes.
  private struct Job {
    let item: Int
    let parts: Range<Int>
  }

  private struct State<Partial, Result> {
    /// For each unfinished item, the joined results of the first `done` parts.
    var sums: [Int: Partial] = [:]
    var done: [Int: Int] = [:]
    /// Results of parts that finished before an earlier part did.
    var early: [Int: [Int: Partial]] = [:]
    var results: [Result?]
  }

  /// Calls `body` for every part of every item, joins the results in order, and finishes each
  /// item's.
  ///
  /// Only unfinished results are kept, so that memory does not grow with the number of parts.
  ///
  /// - Parameters:
  ///   - items: the items to process.
  ///   - empty: the result of no parts.
  ///   - join: adds the result of the next part.
  ///   - finish: converts the joined result of an item.
  ///   - body: receives an item's index and the element ranges of consecutive parts, and returns a
  ///     result for each.
  /// - Returns: the finished result of each item.
  /// - Throws: what `body` throws; `CancelledError`.
  func run<Partial: Sendable, Result: Sendable>(
    _ items: [Item], empty: Partial, join: @Sendable (inout Partial, Partial) -> Void,
    finish: @Sendable (Partial) -> Result,
    _ body: @Sendable (_ item: Int, _ parts: [Range<Int>]) throws -> [Partial]
  ) throws -> [Result] {
    let counts = items.map { ($0.count + Self.partSize - 1) / Self.partSize }
    var jobs: [Job] = []
    for (item, count) in counts.enumerated() where count > 0 {
      if items[item].isRandomAccess {
        let grain = items[item].grain
        jobs += stride(from: 0, to: count, by: grain).map {
          Job(item: item, parts: $0..<min($0 + grain, count))
        }
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
