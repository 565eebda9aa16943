public import CkptPlatform
public import CkptStateDicts

extension StateDict {
  /// Computes the minimum, maximum, mean, standard deviation, and more of every tensor. Each is
  /// read once, on several threads; the result does not depend on their number.
  ///
  /// - Parameters:
  ///   - withHistograms: whether histograms are computed, too.
  ///   - workers: the number of threads; nil chooses it.
  ///   - cancellation: cancels the reading.
  ///   - progress: called with the progress, from any thread.
  /// - Throws: what reading throws; `CancelledError`.
  public func statistics(
    withHistograms: Bool = false, workers: Int? = nil,
    cancellation: Cancellation = Cancellation(),
    progress: (@Sendable (WorkProgress) -> Void)? = nil
  ) throws -> StateDictStatistics {
    try StateDictStatistics(
      self, withHistograms: withHistograms, workers: workers, cancellation: cancellation,
      progress: ProgressMeter.counter(.reading, of: totalByteCount, progress))
  }

  /// Computes the statistics asynchronously; canceling the task stops the reading.
  ///
  /// - Throws: as the synchronous form.
  public func statistics(
    withHistograms: Bool = false, workers: Int? = nil,
    progress: (@Sendable (WorkProgress) -> Void)? = nil
  ) async throws -> StateDictStatistics {
    try await Cancellation.whileTaskRuns { cancellation in
      try statistics(
        withHistograms: withHistograms, workers: workers, cancellation: cancellation,
        progress: progress)
    }
  }

  /// Computes the SHA-256 of every tensor's dtype, shape, and elements, and of the whole state
  /// dict.
  ///
  /// - Parameters:
  ///   - workers: the number of threads; nil chooses it.
  ///   - cancellation: cancels the reading.
  ///   - progress: called with the progress, from any thread.
  /// - Throws: what reading throws; `CancelledError`.
  public func digest(
    workers: Int? = nil, cancellation: Cancellation = Cancellation(),
    progress: (@Sendable (WorkProgress) -> Void)? = nil
  ) throws -> StateDictDigest {
    try StateDictDigest(
      self, workers: workers, cancellation: cancellation,
      progress: ProgressMeter.counter(.reading, of: totalByteCount, progress))
  }

  /// Computes the digest asynchronously; canceling the task stops the reading.
  ///
  /// - Throws: as the synchronous form.
  public func digest(
    workers: Int? = nil, progress: (@Sendable (WorkProgress) -> Void)? = nil
  ) async throws -> StateDictDigest {
    try await Cancellation.whileTaskRuns { cancellation in
      try digest(workers: workers, cancellation: cancellation, progress: progress)
    }
  }

  /// Compares this state dict with `other`: keys, shapes, dtypes, and values. Tensors that both
  /// have are read once; tensors on one side only are read if they may have been renamed.
  ///
  /// - Parameters:
  ///   - other: the second side.
  ///   - options: when numbers are equal, and what is computed.
  ///   - cancellation: cancels the reading.
  ///   - progress: called with the progress, from any thread.
  /// - Throws: what reading throws; `CancelledError`.
  public func difference(
    to other: StateDict, options: StateDictDifference.Options = .init(),
    cancellation: Cancellation = Cancellation(),
    progress: (@Sendable (WorkProgress) -> Void)? = nil
  ) throws -> StateDictDifference {
    try StateDictDifference(
      from: self, to: other, options: options, cancellation: cancellation,
      progress: ProgressMeter.counter(.reading, of: totalByteCount, progress))
  }

  /// Compares the state dicts asynchronously; canceling the task stops the reading.
  ///
  /// - Throws: as the synchronous form.
  public func difference(
    to other: StateDict, options: StateDictDifference.Options = .init(),
    progress: (@Sendable (WorkProgress) -> Void)? = nil
  ) async throws -> StateDictDifference {
    try await Cancellation.whileTaskRuns { cancellation in
      try difference(to: other, options: options, cancellation: cancellation, progress: progress)
    }
  }
}
