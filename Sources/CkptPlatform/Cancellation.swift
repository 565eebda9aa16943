internal import Synchronization

/// A token that stops long work; a cancellation never falls between the last two steps of an output.
public final class Cancellation: Sendable {
  private struct State {
    var isCancelled = false
    var hasCommitted = false
    var temporaryPaths: Set<String> = []
  }

  private let state = Mutex(State())

  /// A token that is not cancelled.
  public init() {}

  /// Asks the work to stop; false if its output is already in place, so that there is nothing to stop.
  @discardableResult
  public func cancel() -> Bool {
    state.withLock {
      $0.isCancelled = !$0.hasCommitted
      return $0.isCancelled
    }
  }

  /// Whether the work was asked to stop.
  public var isCancelled: Bool { state.withLock { $0.isCancelled } }

  /// Throws `CancelledError` if the work was asked to stop.
  ///
  /// - Throws: ``CancelledError``.
  public func check() throws(CancelledError) {
    if isCancelled { throw CancelledError() }
  }

  /// Runs the step that puts an output in place; a cancellation comes before it or has no effect.
  ///
  /// - Parameter isLast: whether nothing is left to cancel then.
  func commit(isLast: Bool = true, _ step: () throws(FileError) -> Void) throws {
    let cancelled = try state.withLock { state in
      guard !state.isCancelled else { return true }
      try step()
      state.hasCommitted = isLast
      return false
    }
    if cancelled { throw CancelledError() }
  }

  /// Remembers the name of a temporary file that is being written, for `removeTemporaries`.
  func addTemporary(_ path: String) { state.withLock { _ = $0.temporaryPaths.insert(path) } }

  /// Forgets the name of a temporary file.
  func dropTemporary(_ path: String) { state.withLock { _ = $0.temporaryPaths.remove(path) } }

  /// Removes the temporary files, if there are any, before the process ends without unwinding.
  func removeTemporaries(_ remove: (String) -> Void) {
    state.withLock { state in
      for path in state.temporaryPaths { remove(path) }
      state.temporaryPaths = []
    }
  }
}

/// The work was asked to stop.
public struct CancelledError: Diagnostic, Hashable {
  /// The error of cancelled work.
  public init() {}
  /// The category of the error, from which `ckpt` takes its exit status.
  public var kind: DiagnosticKind { .interrupted }
  /// One line that says what is wrong and where.
  public var description: String { "interrupted; nothing was written" }
}
