internal import Dispatch

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

/// Turns Ctrl-C and its like into a cancellation, so that no half-written file stays.
package final class SignalWatch {
  private let sources: [any DispatchSourceSignal]

  /// Watches SIGINT, SIGTERM and SIGHUP for as long as the object lives.
  ///
  /// The process ends with `exitStatus` within a tenth of a second, whatever it is waiting for.
  package convenience init(_ cancellation: Cancellation, exitStatus: Int32) {
    self.init { if cancellation.cancel() { Self.end(cancellation, exitStatus) } }
  }

  /// Watches the same signals for work that ends at a good moment by itself: the first one cancels `soft` and nothing
  /// else, the next one cancels `hard` and ends the process as above.
  package convenience init(ending soft: Cancellation, _ hard: Cancellation, exitStatus: Int32) {
    self.init {
      if !soft.isCancelled {
        soft.cancel()
      } else if hard.cancel() {
        Self.end(hard, exitStatus)
      }
    }
  }

  private init(_ handle: @escaping @Sendable () -> Void) {
    let queue = DispatchQueue(label: "signals", qos: .userInteractive)
    sources = [SIGINT, SIGTERM, SIGHUP].map { number in
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
      source.setEventHandler(handler: handle)
      source.resume()
      return source
    }
  }

  /// Ends the process, after a moment in which work that looks at the token may end by itself.
  private static func end(_ cancellation: Cancellation, _ exitStatus: Int32) {
    // The work looks at the token between blocks; a read that hangs is not waited for.
    usleep(50_000)
    cancellation.removeTemporaries { unlink($0) }
    _exit(exitStatus)
  }

  deinit { for source in sources { source.cancel() } }
}
