internal import CkptPlatform
internal import Synchronization

/// What computed bytes need before their first reader: found once, by whoever asks first, while others wait.
///
/// It is forgotten once all the bytes have been handed out, so that memory does not grow with the number of
/// tensors; who asks after that finds it again. An error is kept as a value is, but not that the work was
/// cancelled: the next one who asks tries again.
package final class PreparedOnce<Value: Sendable>: Sendable {
  private struct State {
    var result: Result<Value, any Error>?
    /// How many bytes were handed out since it was found.
    var delivered = 0
  }

  private let find: @Sendable () throws -> Value
  private let state = Mutex(State())

  /// What `find` gives.
  package init(_ find: @escaping @Sendable () throws -> Value) { self.find = find }

  /// The value.
  ///
  /// - Throws: what finding it threw.
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

  /// Forgets the value once `count` and what was handed out before come to `total` bytes.
  package func didDeliver(_ count: Int, of total: Int) {
    state.withLock { state in
      state.delivered += count
      if state.delivered >= total { state = State() }
    }
  }
}
