#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

/// Cancels work when the process receives a signal such as Ctrl-C, so that no incomplete file is
/// left.
package final class SignalWatch {
  private let id: Int

  /// Handles SIGINT, SIGTERM, and SIGHUP as long as the object lives.
  ///
  /// Unless the output is already in place, the process exits with `exitStatus` within a tenth of a
  /// second, even if a read or write is blocked.
  package convenience init(_ cancellation: Cancellation, exitStatus: Int32) {
    self.init { if cancellation.cancel() { Self.end(exitStatus) } }
  }

  /// Watches the same signals for work that ends at a good moment by itself: the first one cancels
  /// `soft` and nothing else, the next one cancels `hard` and ends the process as above.
  package convenience init(ending soft: Cancellation, _ hard: Cancellation, exitStatus: Int32) {
    self.init {
      if !soft.isCancelled {
        soft.cancel()
      } else if hard.cancel() {
        Self.end(exitStatus)
      }
    }
  }

  private init(_ handle: @escaping @Sendable () -> Void) { id = Signals.add(handle) }

  /// Ends the process, after a moment in which work that looks at the token may end by itself.
  private static func end(_ exitStatus: Int32) {
    // Work checks for cancellation between blocks. A blocked read is not waited for.
    usleep(50_000)
    TemporaryFiles.removeAll()
    _exit(exitStatus)
  }

  deinit { Signals.remove(id) }
}
