internal import Dispatch

extension Cancellation {
  /// Does blocking work on a thread of Dispatch's, so that no thread of Swift's concurrency waits for a disk; if the
  /// task is cancelled, so is the work.
  ///
  /// - Throws: what `work` throws; `CancelledError` where it notices the cancellation.
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
