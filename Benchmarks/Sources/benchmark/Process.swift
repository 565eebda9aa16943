import Foundation

/// What one run of a command took.
struct Run {
  /// Wall-clock seconds.
  var seconds: Double
  /// The maximum resident set size in bytes, mapped pages counted.
  var peakBytes: Int
  /// The seconds that the command says its work took, its start and imports left out.
  var workSeconds: Double?
}

struct Failure: Error, CustomStringConvertible {
  let description: String
}

/// Runs a command to its end, its output dropped.
///
/// A last line of stdout of the form `seconds 1.25` is the command's own account of its work.
func run(_ arguments: [String]) throws -> Run {
  let output = FileManager.default.temporaryDirectory.path + "/benchmark-output-\(getpid())"
  defer { unlink(output) }
  var actions = posix_spawn_file_actions_t()
  posix_spawn_file_actions_init(&actions)
  defer { posix_spawn_file_actions_destroy(&actions) }
  posix_spawn_file_actions_addopen(
    &actions, STDOUT_FILENO, output, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
  let words = arguments.map { strdup($0) } + [nil]
  defer { for word in words { free(word) } }
  var pid = pid_t()
  let start = ContinuousClock.now
  guard posix_spawnp(&pid, arguments[0], &actions, nil, words, environ) == 0 else {
    throw Failure(description: "cannot run \(arguments[0])")
  }
  var (status, usage) = (Int32(), rusage())
  while wait4(pid, &status, 0, &usage) < 0 {
    guard errno == EINTR else { throw Failure(description: "cannot wait for \(arguments[0])") }
  }
  let seconds = (ContinuousClock.now - start) / .seconds(1)
  guard status == 0 else {
    throw Failure(description: "failed: \(arguments.joined(separator: " "))")
  }
  #if canImport(Darwin)
    let peak = Int(usage.ru_maxrss)
  #else
    let peak = Int(usage.ru_maxrss) * 1024
  #endif
  return Run(seconds: seconds, peakBytes: peak, workSeconds: ownSeconds(output))
}

private func ownSeconds(_ path: String) -> Double? {
  guard let handle = FileHandle(forReadingAtPath: path), let end = try? handle.seekToEnd() else {
    return nil
  }
  try? handle.seek(toOffset: end > 64 ? end - 64 : 0)
  let tail = String(decoding: (try? handle.readToEnd()) ?? Data(), as: UTF8.self)
  guard let last = tail.split(separator: "\n").last, last.hasPrefix("seconds ") else { return nil }
  return Double(last.dropFirst(8))
}

/// The middle one of a set of numbers.
func median(_ numbers: [Double]) -> Double {
  let sorted = numbers.sorted()
  return sorted.isEmpty ? .nan : (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
}
