import Foundation

/// What a section of the benchmarks needs.
struct Context {
  /// The command under test.
  let ckpt: String
  /// A Python that has the peers.
  let python: String
  /// Where inputs and outputs lie.
  let folder: String
  /// How often each side runs.
  let rounds: Int
  /// The size of the large inputs.
  let megabytes: Int

  /// A path in the folder.
  func file(_ name: String) -> String { folder + "/" + name }

  /// The command that runs a script of `Benchmarks/peers`.
  func peer(_ script: String, _ arguments: String...) -> [String] {
    let path = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "../../peers/\(script)").standardized.path(percentEncoded: false)
    return [python, path] + arguments
  }
}

/// One side of a comparison: a command, and what it writes.
struct Side {
  var command: [String]
  var outputs: [String] = []

  /// Runs it on a disk at rest: what was written before is on the disk or gone.
  func measured(keepingOutputs: Bool = false) throws -> Run {
    func clear() {
      for output in outputs { try? FileManager.default.removeItem(atPath: output) }
    }
    clear()
    sync()
    defer { if !keepingOutputs { clear() } }
    return try run(command)
  }
}

/// Commands that ran in turn, the same number of times each.
struct Rounds {
  var runs: [[Run]]
  /// The peak memory of each side's processes together, in bytes; nil if it was not watched.
  var trees: [Int?]

  /// Runs the sides in turn; the first round only warms the page cache and is not counted.
  ///
  /// - Parameter watchingMemory: whether the first round finds `trees`; looking takes time, so that no other does.
  init(_ sides: [Side], rounds: Int, watchingMemory: Bool = false) throws {
    runs = sides.map { _ in [] }
    trees = sides.map { _ in nil }
    for round in 0...rounds {
      for (index, side) in sides.enumerated() {
        if round > 0 {
          runs[index].append(try side.measured())
        } else if watchingMemory {
          trees[index] = try MemoryWatch.peak { _ = try side.measured() }
        } else {
          _ = try side.measured()
        }
      }
    }
  }

  func seconds(_ side: Int) -> Double { median(runs[side].map(\.seconds)) }
  func work(_ side: Int) -> Double { median(runs[side].compactMap(\.workSeconds)) }
  func peak(_ side: Int) -> Int { runs[side].map(\.peakBytes).max() ?? 0 }

  /// The median of the ratios within each round, which the machine's drift leaves alone.
  func ratio(_ side: Int, to other: Int, of time: (Run) -> Double = \.seconds) -> Double {
    median(zip(runs[side], runs[other]).map { time($0) / $1.seconds })
  }
}

/// A Markdown table, printed row by row.
struct MarkdownTable {
  init(_ title: String, _ columns: [String]) {
    print("\n### \(title)\n")
    row(columns)
    row(columns.map { _ in "---" })
  }

  func row(_ cells: [String]) {
    print("| " + cells.joined(separator: " | ") + " |")
    fflush(nil)
  }
}

func text(_ value: Double, _ digits: Int = 2) -> String { String(format: "%.\(digits)f", value) }
func seconds(_ value: Double) -> String { text(value, value < 0.1 ? 4 : 2) + " s" }
func megabytes(_ bytes: Int) -> String { text(Double(bytes) / 1e6, 0) + " MB" }
