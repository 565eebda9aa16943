internal import CkptPlatform
internal import CkptText
internal import Synchronization

/// Standard output. Everything that the command prints passes here: ``print(_:)``,
/// ``printDocument(_:terminator:)``, and ``Table``.
enum StandardOutput {
  private struct State {
    var pending: [UInt8] = []
    var failure: StandardStream.Failure?
  }

  private static let state = Mutex(State())
  private static let isTerminal = StandardStream.output.isTerminal

  /// The first error of writing; what is printed after it is dropped.
  static var failure: StandardStream.Failure? { state.withLock { $0.failure } }

  /// Whether the reader of a pipe has gone.
  static var isClosedPipe: Bool { failure?.isClosedPipe == true }

  /// Forgets errors of earlier calls in the same process.
  static func begin() { state.withLock { $0.failure = nil } }

  /// Prints bytes, which are not escaped here.
  static func write(_ bytes: some Collection<UInt8>) {
    state.withLock { state in
      state.pending += bytes
      if state.pending.count >= 64 << 10 || isTerminal { flush(&state) }
    }
  }

  /// Passes on what is pending.
  static func flush() { state.withLock { flush(&$0) } }

  private static func flush(_ state: inout State) {
    defer { state.pending.removeAll(keepingCapacity: true) }
    guard state.failure == nil, !state.pending.isEmpty else { return }
    do throws(StandardStream.Failure) {
      try StandardStream.output.write(state.pending)
    } catch {
      state.failure = error
    }
  }
}

/// Prints an empty line.
func print() { StandardOutput.write([UInt8(ascii: "\n")]) }

/// Prints a line on stdout. What is not printable in it, also a line break, is escaped.
func print(_ line: String) {
  StandardOutput.write(Array(Messages.line(line).utf8) + [UInt8(ascii: "\n")])
}

/// Swift's function, which would print such characters.
@available(*, unavailable, message: "print(_: String) escapes what is not printable")
func print(_ items: Any..., separator: String = " ", terminator: String = "\n") {}

/// Prints a text of several lines on stdout, such as JSON, and a line break at its end. What is not
/// printable in it is escaped, except for line breaks; texts from files must be escaped before.
func printDocument(_ text: String, terminator: String = "\n") {
  let lines = text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
  var bytes: [UInt8] = []
  bytes.reserveCapacity(text.utf8.count + 1)
  for (number, line) in lines.enumerated() {
    if number > 0 { bytes.append(UInt8(ascii: "\n")) }
    bytes += Messages.line(String(Substring(line))).utf8
  }
  StandardOutput.write(bytes + Array(terminator.utf8))
}
