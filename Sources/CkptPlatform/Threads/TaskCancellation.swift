extension Cancellation {
  /// Runs blocking work on a thread of its own, so that no thread of Swift concurrency is blocked.
  /// Canceling the task cancels the work.
  ///
  /// - Throws: what `work` throws; `CancelledError` if the work detects the cancellation;
  ///   ``ThreadError``.
  package static func whileTaskRuns<Result: Sendable>(
    _ work: @escaping @Sendable (Cancellation) throws -> Result
  ) async throws -> Result {
    let cancellation = Cancellation()
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        do throws(ThreadError) {
          try SystemThread {
            continuation.resume(with: Swift.Result { try work(cancellation) })
          }.detach()
        } catch {
          continuation.resume(throwing: error)
        }
      }
    } onCancel: {
      cancellation.cancel()
    }
  }
}
