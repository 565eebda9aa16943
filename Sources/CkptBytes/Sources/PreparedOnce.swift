internal import CkptPlatform
internal import Synchronization

/// A value that computed bytes need before they can be read. The first caller computes it, while
/// others wait.
///
/// The value is released once all bytes have been delivered, so that memory does not grow with the
/// number of tensors; if it is needed again, it is computed again. An error is stored like a value,
/// except for a cancellation, after which the next caller tries again.
package final class PreparedOnce<Value: Sendable>: Sendable {
  private struct State {
    var result: Result<Value, any Error>?
    /// The number of bytes delivered since the value was computed.
    var delivered = 0
  }

  private let find: @Sendable () throws -> Value
  private let state = Mutex(State())

  /// Creates a value that `find` computes on demand.
  package init(_ find: @escaping @Sendable () throws -> Value) { self.find = find }

  /// The value, computed if necessary.
  ///
  /// - Throws: the error of computing it.
  package func value() throws -> Value {
    try state.withLock { state in
      if let result = state.result { return try result.get() }
      do {
        let value = try find()
        state.result = .success(value)
        return value
      } catch {
        if !(error is CancelledError || error is CancellationError) {
          state.result = .failure(error)
        }
        throw error
      }
    }
  }

  /// Counts `count` delivered bytes, and releases the value when the sum reaches `total`.
  package func didDeliver(_ count: Int, of total: Int) {
    state.withLock { state in
      state.delivered += count
      if state.delivered >= total { state = State() }
    }
  }
}
