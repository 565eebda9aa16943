internal import Dispatch

extension Cancellation {
  /// Runs blocking work on a thread of Dispatch, so that no thread of Swift concurrency is blocked.
  /// Canceling the task cancels the work.
  ///
  /// - Throws: what `work` throws; `CancelledError` if the work detects the cancellation.
  package static func whileTaskRuns<Result: Sendable>(
    _ work: @escaping @Sendable (Cancellation) throws -> Result
  ) async throws -> Result {
    let cancellation = Cancellation()
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        DispatchQueue.global().async {
          continuation.resume(with: Swift.Result { try work(cancellation) })
        }
      }
    } onCancel: {
      cancellation.cancel()
    }
  }
}
