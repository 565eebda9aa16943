import Foundation
import StateDictKit
import CkptStateDicts
import TrainingCore

// training-benchmark PYTHON [CASE…]     the table: every case beside PyTorch, step by step in turn
// training-benchmark --worker CASE THREADS     one side; see `peers/training.py`

let arguments = Array(CommandLine.arguments.dropFirst())
if arguments.first == "--worker", arguments.count == 3 {
  try worker(arguments[1], threads: Int(arguments[2]) ?? 1)
} else if arguments.first == "--first-forward", arguments.count == 2 {
  try firstForward(arguments[1])
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
  let peak = status.split(separator: "\n").first { $0.hasPrefix("VmHWM") } ?? "0"
  print(peak.filter(\.isNumber))
}

/// Loads a ResNet-18 from a file and does one forward pass.
func firstForward(_ path: String) throws {
  let model = try resnet(depth: 18)
  try model.load(Checkpoint(contentsOf: path).stateDict())
  model.eval()
  let output = try noGrad { try model(Variable.full([1, 3, 224, 224], 0.1)) }
  print(try output.argmax().item())
}

/// How long it takes from a process's start to the first forward pass of a ResNet-18 from a file.
func startTable(_ python: String, _ peer: String) throws {
  let folder = FileManager.default.temporaryDirectory.appending(path: "training-benchmark")
  try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  let file = folder.appending(path: "resnet18.pt").path(percentEncoded: false)
  try Checkpoint(resnet(depth: 18).stateDict()).write(to: file, replacingExisting: true)
  defer { try? FileManager.default.removeItem(at: folder) }
  func run(_ command: [String]) throws -> Double {
    let process = Process()
    process.executableURL = URL(filePath: command[0])
    process.arguments = Array(command.dropFirst())
    process.standardOutput = FileHandle.nullDevice
    let start = ContinuousClock.now
    try process.run()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else { throw BenchmarkError.failed("first forward") }
    let time = start.duration(to: .now).components
    return Double(time.attoseconds) * 1e-18 + Double(time.seconds)
  }
  var (ours, theirs): ([Double], [Double]) = ([], [])
  for _ in 0..<3 {
    ours.append(try run([CommandLine.arguments[0], "--first-forward", file]))
    theirs.append(try run([python, peer, "first-forward", file]))
  }
  let (here, there) = (ours.sorted()[1], theirs.sorted()[1])
  print(
    String(
      format: "| start to first forward, resnet18 | 2 | %.3f | %.3f | %.3f | | |", here, there,
      here / there))
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

  /// Times steps for a turn: those that begin in its first 50 ms, since steps of a few milliseconds follow each
  /// other in a training, too. (Threads of the other side may go on looking for work for a moment.)
  func turn() throws -> [Double] {
    let end = ContinuousClock.now + .milliseconds(50)
    var times: [Double] = []
    repeat { times.append(try step()) } while ContinuousClock.now < end
    return times
  }

  private func step() throws -> Double {
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
    "resnet18", "resnet18-32", "resnet18-head", "resnet50-forward-1", "resnet50-forward-8",
    "vit_b_16", "mlp", "encoder", "start",
  ]
  let peers = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "peers/training.py").path(percentEncoded: false)
  func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
  func text(_ value: Double, _ format: String) -> String { String(format: format, value) }
  print("| case | threads | here, s | PyTorch, s | ratio | peak here, MB | PyTorch, MB |")
  print("| --- | --- | --- | --- | --- | --- | --- |")
  for name in wanted.isEmpty ? all : wanted {
    if name == "start" {
      try startTable(python, peers)
      continue
    }
    for threads in [2, 1] {
      let here = try Peer([CommandLine.arguments[0], "--worker", name, "\(threads)"])
      let there = try Peer([python, peers, name, "\(threads)"])
      var (ours, theirs): ([Double], [Double]) = ([], [])
      let end = ContinuousClock.now + .seconds(8)
      while min(ours.count, theirs.count) < 5 || ContinuousClock.now < end {
        ours += try here.turn()
        theirs += try there.turn()
      }
      let (peak, theirPeak) = (try here.end(), try there.end())
      print(
        "| \(name) | \(threads) | \(text(median(ours), "%.4f")) | \(text(median(theirs), "%.4f")) "
          + "| \(text(median(ours) / median(theirs), "%.2f")) | \(peak >> 20) | \(theirPeak >> 20) |"
      )
    }
  }
}
