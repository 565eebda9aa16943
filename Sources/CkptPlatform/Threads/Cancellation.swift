internal import Synchronization

/// A token by which long work can be canceled. Work is never canceled while its output is put in
/// place.
public final class Cancellation: Sendable {
  private struct State {
    var isCancelled = false
    var hasCommitted = false
  }

  private let state = Mutex(State())

  /// Creates a token that is not canceled.
  public init() {}

  /// Requests cancellation; returns false if the work's output is already in place, so that it
  /// cannot be canceled.
  @discardableResult
  public func cancel() -> Bool {
    state.withLock {
      $0.isCancelled = !$0.hasCommitted
      return $0.isCancelled
    }
  }

  /// Whether cancellation was requested.
  public var isCancelled: Bool { state.withLock { $0.isCancelled } }

  /// Throws an error if cancellation was requested.
  ///
  /// - Throws: ``CancelledError``.
  public func check() throws(CancelledError) {
    if isCancelled { throw CancelledError() }
  }

  /// Runs the step that puts an output in place, unless the work was canceled before. A
  /// cancellation during the step has no effect.
  ///
  /// - Parameter isLast: whether the work cannot be canceled after the step.
  /// - Throws: `CancelledError`; what `step` throws.
  func commit(isLast: Bool = true, _ step: () throws(FileError) -> Void) throws {
    let cancelled = try state.withLock { state in
      guard !state.isCancelled else { return true }
      try step()
      state.hasCommitted = isLast
      return false
    }
    if cancelled { throw CancelledError() }
  }
}

/// The error that canceled work throws.
public struct CancelledError: Diagnostic, Hashable {
  /// Creates the error.
  public init() {}
  /// The category of the error, from which `ckpt` takes its exit status.
  public var kind: DiagnosticKind { .interrupted }
  /// One line that says what is wrong and where.
  public var description: String { "interrupted; nothing was written" }
}
