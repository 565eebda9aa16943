public import CkptIO
public import CkptPlatform

extension Checkpoint {
  /// Verifies the file or folder at `path`: its container, the checksum of every record, its
  /// pickle, and that every tensor is within its storage.
  ///
  /// - Parameters:
  ///   - path: a file or a folder, which may be too damaged to be opened.
  ///   - cancellation: cancels the reading.
  ///   - progress: called with the progress, from any thread.
  /// - Throws: `FileError` if it cannot be read; `CheckpointError` or `ZipError` if it is not a
  ///   checkpoint at all, rather than a damaged one; `CancelledError`.
  public static func verify(
    contentsOf path: String, cancellation: Cancellation = Cancellation(),
    progress: (@Sendable (WorkProgress) -> Void)? = nil
  ) throws -> IntegrityReport {
    let total = progress == nil ? 0 : Folder.byteCount(ofFileAt: path) ?? 0
    return try IntegrityReport(
      path, cancellation: cancellation,
      progress: ProgressMeter.counter(.verifying, of: total, progress))
  }

  /// Verifies asynchronously; canceling the task stops the reading.
  ///
  /// - Throws: as the synchronous form.
  public static func verify(
    contentsOf path: String, progress: (@Sendable (WorkProgress) -> Void)? = nil
  ) async throws -> IntegrityReport {
    try await Cancellation.whileTaskRuns { cancellation in
      try verify(contentsOf: path, cancellation: cancellation, progress: progress)
    }
  }

  /// Verifies the files from which the checkpoint was read; they are read again.
  ///
  /// - Throws: as ``verify(contentsOf:cancellation:progress:)``; `FileError` for a new checkpoint.
  public func verify(
    cancellation: Cancellation = Cancellation(),
    progress: (@Sendable (WorkProgress) -> Void)? = nil
  ) throws -> IntegrityReport {
    try Self.verify(contentsOf: path, cancellation: cancellation, progress: progress)
  }
}
