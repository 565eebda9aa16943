import Foundation
import Synchronization

/// The memory of the processes that this one has started, and of those that they have started, all together.
///
/// A page that several processes share counts for each by its part (PSS), so that nothing counts twice.
final class MemoryWatch: Sendable {
  private let state = Mutex((peak: 0, isOver: false))

  private init() {}

  /// The largest sum in bytes while something runs, looked at ten times a second; nil where the system does not tell.
  static func peak(during work: () throws -> Void) rethrows -> Int? {
    let watch = MemoryWatch()
    Thread.detachNewThread { while watch.look() { Thread.sleep(forTimeInterval: 0.1) } }
    defer { watch.state.withLock { $0.isOver = true } }
    try work()
    let peak = watch.state.withLock { $0.peak }
    return peak > 0 ? peak : nil
  }

  /// Looks once; false when it is over.
  private func look() -> Bool {
    let bytes = Self.descendants(of: getpid()).reduce(0) { $0 + Self.bytes(of: $1) }
    return state.withLock {
      $0.peak = max($0.peak, bytes)
      return !$0.isOver
    }
  }

  private static func descendants(of process: Int32) -> [Int32] {
    var found: [Int32] = []
    var open = [process]
    while let next = open.popLast() {
      let threads =
        (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(next)/task")) ?? []
      for thread in threads {
        let list = contents("/proc/\(next)/task/\(thread)/children")
        let children = list.split(separator: " ").compactMap { Int32($0) }
        found += children
        open += children
      }
    }
    return found
  }

  private static func bytes(of process: Int32) -> Int {
    let lines = contents("/proc/\(process)/smaps_rollup").split(separator: "\n")
    let line = lines.first { $0.hasPrefix("Pss:") }
    let words = line?.split(separator: " ") ?? []
    return (words.count > 1 ? Int(words[1]) ?? 0 : 0) * 1024
  }

  /// The text of a file of the system; empty if it is not there (any more).
  private static func contents(_ path: String) -> String {
    (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
  }
}
