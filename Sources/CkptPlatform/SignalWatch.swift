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
  package init(_ cancellation: Cancellation, exitStatus: Int32) {
    let queue = DispatchQueue(label: "signals", qos: .userInteractive)
    sources = [SIGINT, SIGTERM, SIGHUP].map { number in
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
      source.setEventHandler {
        guard cancellation.cancel() else { return }
        // The work looks at the token between blocks; a read that hangs is not waited for.
        usleep(50_000)
        cancellation.removeTemporaries { unlink($0) }
        _exit(exitStatus)
      }
      source.resume()
      return source
    }
  }

  deinit { for source in sources { source.cancel() } }
}
