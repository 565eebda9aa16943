public import CkptPlatform

extension Checkpoint {
  /// Whether the file or folder at `path` is what was written: its container, every record's checksum, its pickle, and
  /// that every tensor lies in its storage.
  ///
  /// - Parameters:
  ///   - path: a file or a folder; it need not be one that opens.
  ///   - cancellation: stops the reading.
  ///   - progress: told how far it is, from any thread.
  /// - Throws: `FileError` where it cannot be read; `CheckpointError` or `ZipError` for what is no checkpoint at all,
  ///   rather than a damaged one; `CancelledError`.
  public static func verify(
    contentsOf path: String, cancellation: Cancellation = Cancellation(),
    progress: (@Sendable (WorkProgress) -> Void)? = nil
  ) throws -> IntegrityReport {
    let total = progress == nil ? 0 : Folder.byteCount(ofFileAt: path) ?? 0
    return try IntegrityReport(
      path, cancellation: cancellation,
      progress: ProgressMeter.counter(.verifying, of: total, progress))
  }

  /// The same from a task; if the task is cancelled, the reading stops.
  ///
  /// - Throws: as the form that waits.
  public static func verify(
    contentsOf path: String, progress: (@Sendable (WorkProgress) -> Void)? = nil
  ) async throws -> IntegrityReport {
    try await Cancellation.whileTaskRuns { cancellation in
      try verify(contentsOf: path, cancellation: cancellation, progress: progress)
    }
  }

  /// Whether what it was read from is what was written; read anew, from the same path.
  ///
  /// - Throws: as ``verify(contentsOf:cancellation:progress:)``; `FileError` for a checkpoint that was made here.
  public func verify(
    cancellation: Cancellation = Cancellation(),
    progress: (@Sendable (WorkProgress) -> Void)? = nil
  ) throws -> IntegrityReport {
    try Self.verify(contentsOf: path, cancellation: cancellation, progress: progress)
  }

  /// What the pickles in the file or folder at `path` name, rated; nothing of it is run.
  ///
  /// - Throws: `FileError`, `ZipError` or `CheckpointError` for what cannot be read.
  public static func scan(contentsOf path: String) throws -> GlobalScan { try GlobalScan(path) }
}
