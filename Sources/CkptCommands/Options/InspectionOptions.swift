internal import ArgumentParser
internal import Foundation
internal import StateDictKit

/// Options for an HTML page that a command writes in addition to its output.
struct PageOptions: ParsableArguments {
  @Option(help: "Write a page to FILE that any browser opens, with pictures; it needs no network.")
  var html: String?

  @Flag(help: "Replace FILE if it exists.")
  var force = false

  /// Writes the page, if it is requested.
  func write(_ body: ((String) throws -> Void) throws -> Void) throws {
    guard let html else { return }
    let output = try AtomicOutput(path: html, replacingExisting: force)
    var place = 0
    var pending: [UInt8] = []
    func flush() throws {
      try output.file.write(pending, at: place)
      place += pending.count
      pending.removeAll(keepingCapacity: true)
    }
    try body { text in
      pending += Array(text.utf8)
      if pending.count >= 64 << 10 { try flush() }
    }
    try flush()
    try output.commit()
  }
}

/// Runs a long reading operation with a progress line in the terminal; a signal cancels it.
func reading<Result>(
  _ total: Int, _ common: CommonOptions,
  _ body: (Cancellation, @escaping @Sendable (Int) -> Void) throws -> Result
) throws -> Result {
  let cancellation = Cancellation()
  let watch = SignalWatch(cancellation, exitStatus: ExitStatus.of(.interrupted))
  defer { withExtendedLifetime(watch) {} }
  let bar = common.noProgress ? nil : ProgressBar(total: total)
  defer { bar?.finish() }
  return try body(cancellation, { bar?.advance(by: $0) })
}

/// A number with four significant digits, for tables.
func numberText(_ value: Double) -> String {
  value.isNaN ? "-" : String(format: "%.4g", value)
}
