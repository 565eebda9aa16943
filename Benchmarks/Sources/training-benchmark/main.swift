import Foundation
import TrainingCore

// training-benchmark PYTHON [CASE…]     the table: every case beside PyTorch, step by step in turn
// training-benchmark --worker CASE THREADS     one side; see `peers/training.py`

let arguments = Array(CommandLine.arguments.dropFirst())
if arguments.first == "--worker", arguments.count == 3 {
  try worker(arguments[1], threads: Int(arguments[2]) ?? 1)
} else if let python = arguments.first {
  try table(python, Array(arguments.dropFirst()))
} else {
  print("usage: training-benchmark PYTHON [CASE…]")
}

func worker(_ name: String, threads: Int) throws {
  ComputeThreads.count = threads
  let step = try Cases.make(name)
  try step()
  print("ready")
  fflush(nil)
  while readLine() != nil {
    let start = ContinuousClock.now
    try step()
    let time = start.duration(to: .now)
    print(Double(time.components.attoseconds) * 1e-18 + Double(time.components.seconds))
    fflush(nil)
  }
  let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
  let peak = status.split(separator: "\n").first { $0.hasPrefix("VmHWM") }
  print(peak?.split(separator: " ").dropLast().last ?? "0")
}

/// A process that does a step when told to.
final class Peer {
  private let process = Process()
  private let input = Pipe()
  private let output = Pipe()
  private var rest = Data()

  init(_ command: [String]) throws {
    process.executableURL = URL(filePath: command[0])
    process.arguments = Array(command.dropFirst())
    process.standardInput = input
    process.standardOutput = output
    try process.run()
    guard line() == "ready" else { throw BenchmarkError.failed(command.joined(separator: " ")) }
  }

  private func line() -> String? {
    while true {
      if let end = rest.firstIndex(of: 10) {
        defer { rest = Data(rest[(end + 1)...]) }
        return String(decoding: rest[..<end], as: UTF8.self)
      }
      let more = output.fileHandleForReading.availableData
      if more.isEmpty { return nil }
      rest.append(more)
    }
  }

  func step() throws -> Double {
    try input.fileHandleForWriting.write(contentsOf: Data([10]))
    guard let seconds = line().flatMap(Double.init) else { throw BenchmarkError.failed("a step") }
    return seconds
  }

  /// Ends it and gives its peak memory in bytes.
  func end() throws -> Int {
    try input.fileHandleForWriting.close()
    let peak = line().flatMap { Int($0.trimmingCharacters(in: .whitespaces)) } ?? 0
    process.waitUntilExit()
    return peak << 10
  }
}

enum BenchmarkError: Error { case failed(String) }

func table(_ python: String, _ wanted: [String]) throws {
  let all = [
    "resnet18", "resnet18-head", "resnet50-forward-1", "resnet50-forward-8", "vit_b_16", "mlp",
    "encoder",
  ]
  let peers = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "peers/training.py").path(percentEncoded: false)
  func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
  func text(_ value: Double, _ format: String) -> String { String(format: format, value) }
  print("| case | threads | here, s | PyTorch, s | ratio | peak here, MB | PyTorch, MB |")
  print("| --- | --- | --- | --- | --- | --- | --- |")
  for name in wanted.isEmpty ? all : wanted {
    for threads in [2, 1] {
      let here = try Peer([CommandLine.arguments[0], "--worker", name, "\(threads)"])
      let there = try Peer([python, peers, name, "\(threads)"])
      var (ours, theirs): ([Double], [Double]) = ([], [])
      let end = ContinuousClock.now + .seconds(8)
      while ours.count < 5 || (ContinuousClock.now < end && ours.count < 200) {
        ours.append(try here.step())
        theirs.append(try there.step())
      }
      let (peak, theirPeak) = (try here.end(), try there.end())
      print(
        "| \(name) | \(threads) | \(text(median(ours), "%.4f")) | \(text(median(theirs), "%.4f")) "
          + "| \(text(median(ours) / median(theirs), "%.2f")) | \(peak >> 20) | \(theirPeak >> 20) |"
      )
    }
  }
}
