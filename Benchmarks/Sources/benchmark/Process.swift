import Foundation

/// What one run of a command took.
struct Run {
  /// Wall-clock seconds.
  var seconds: Double
  /// The maximum resident set size in bytes.
  var peakBytes: Int
}

struct Failure: Error, CustomStringConvertible {
  let description: String
}

/// Runs a command to its end, its output dropped.
func run(_ arguments: [String]) throws -> Run {
  var actions = posix_spawn_file_actions_t()
  posix_spawn_file_actions_init(&actions)
  defer { posix_spawn_file_actions_destroy(&actions) }
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0)
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
    return Run(seconds: seconds, peakBytes: Int(usage.ru_maxrss))
  #else
    return Run(seconds: seconds, peakBytes: Int(usage.ru_maxrss) * 1024)
  #endif
}

/// The middle one of a set of numbers.
func median(_ numbers: [Double]) -> Double {
  let sorted = numbers.sorted()
  return sorted.isEmpty ? .nan : (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
}
