public import CkptPlatform
public import CkptStateDicts

extension StateDict {
  /// Minimum, maximum, mean, deviation and more of every tensor, each read once, on several threads; the result does
  /// not depend on their number.
  ///
  /// - Parameters:
  ///   - withHistograms: whether the numbers are also counted by size.
  ///   - workers: how many threads; nil for as many as are useful.
  ///   - cancellation: stops the reading.
  ///   - progress: told how far it is, from any thread.
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

  /// The same from a task; if the task is cancelled, the reading stops.
  ///
  /// - Throws: as the form that waits.
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

  /// SHA-256 of every tensor's dtype, shape and elements, and of all of them.
  ///
  /// - Throws: what reading throws; `CancelledError`.
  public func digest(
    workers: Int? = nil, cancellation: Cancellation = Cancellation(),
    progress: (@Sendable (WorkProgress) -> Void)? = nil
  ) throws -> StateDictDigest {
    try StateDictDigest(
      self, workers: workers, cancellation: cancellation,
      progress: ProgressMeter.counter(.reading, of: totalByteCount, progress))
  }

  /// The same from a task; if the task is cancelled, the reading stops.
  ///
  /// - Throws: as the form that waits.
  public func digest(
    workers: Int? = nil, progress: (@Sendable (WorkProgress) -> Void)? = nil
  ) async throws -> StateDictDigest {
    try await Cancellation.whileTaskRuns { cancellation in
      try digest(workers: workers, cancellation: cancellation, progress: progress)
    }
  }

  /// What is different in `other`: keys, shapes, numbers. Every tensor is read once.
  ///
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

  /// The same from a task; if the task is cancelled, the reading stops.
  ///
  /// - Throws: as the form that waits.
  public func difference(
    to other: StateDict, options: StateDictDifference.Options = .init(),
    progress: (@Sendable (WorkProgress) -> Void)? = nil
  ) async throws -> StateDictDifference {
    try await Cancellation.whileTaskRuns { cancellation in
      try difference(to: other, options: options, cancellation: cancellation, progress: progress)
    }
  }
}
