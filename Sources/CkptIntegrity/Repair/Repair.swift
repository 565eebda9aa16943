internal import CkptBytes
internal import CkptGGUF
public import CkptIO
public import CkptPlatform
internal import CkptSafetensors
internal import CkptZip

extension Checkpoint {
  /// Reads what is left of the truncated or damaged file or folder at `path`.
  ///
  /// All bytes of the result are bytes of the file at the place where they belong. What does not
  /// match its checksum is left out, unless the options keep it. Data of which the format records
  /// no checksum is taken as it is. An intact file is returned completely.
  ///
  /// - Parameters:
  ///   - path: a file or a folder.
  ///   - options: what happens to incomplete tensors, and to data that may be damaged.
  ///   - cancellation: cancels the reading.
  ///   - progress: called with the progress, from any thread.
  /// - Throws: `FileError` if it cannot be read; `RepairError` if nothing can be saved; what
  ///   opening a file throws if it is not a checkpoint at all; `CancelledError`.
  public static func repair(
    contentsOf path: String, options: RepairOptions = RepairOptions(),
    cancellation: Cancellation = Cancellation(),
    progress: (@Sendable (WorkProgress) -> Void)? = nil
  ) throws -> RepairedCheckpoint {
    let total = progress == nil ? 0 : Folder.byteCount(ofFileAt: path) ?? 0
    let counter = ProgressMeter.counter(.verifying, of: total, progress)
    return try Repair(options, cancellation, counter).repair(path)
  }

  /// Repairs asynchronously; canceling the task stops the reading.
  ///
  /// - Throws: as the synchronous form.
  public static func repair(
    contentsOf path: String, options: RepairOptions = RepairOptions(),
    progress: (@Sendable (WorkProgress) -> Void)? = nil
  ) async throws -> RepairedCheckpoint {
    try await Cancellation.whileTaskRuns { cancellation in
      try repair(
        contentsOf: path, options: options, cancellation: cancellation, progress: progress)
    }
  }
}

/// Chooses how a file is repaired, by its format.
struct Repair {
  let options: RepairOptions
  let cancellation: Cancellation
  let progress: (@Sendable (Int) -> Void)?

  init(
    _ options: RepairOptions, _ cancellation: Cancellation, _ progress: (@Sendable (Int) -> Void)?
  ) {
    self.options = options
    self.cancellation = cancellation
    self.progress = progress
  }

  /// Repairs a file or a folder.
  func repair(_ path: String) throws -> RepairedCheckpoint {
    guard Folder.exists(at: path) else { return try repair(File(readingFrom: path)) }
    if let report = try? IntegrityReport(path, cancellation: cancellation, progress: progress),
      report.isIntact, let checkpoint = report.checkpoint
    {
      return try RepairedCheckpoint(checkpoint, isIntact: true)
    }
    try cancellation.check()
    return try ShardRepair(self).repair(Folder(path))
  }

  private func repair(_ file: File) throws -> RepairedCheckpoint {
    let isArchive = try Self.isArchive(file)
    if let intact = try intact(file, isArchive: isArchive) { return intact }
    if case .file(_, let start) = try CheckpointInput(file), ShardIndex.isLikely(start) {
      return try ShardRepair(self).repair(index: file)
    }
    return try repairDamaged(file)
  }

  /// The checkpoint in a file that is not damaged; nil if it is.
  ///
  /// - Throws: an error if the file is not a checkpoint at all.
  func intact(_ file: File, isArchive: Bool) throws -> RepairedCheckpoint? {
    let report: IntegrityReport
    do {
      report = try IntegrityReport(file.path, cancellation: cancellation, progress: progress)
    } catch let error as any Diagnostic where isArchive && error.kind == .badInput {
      return nil
    }
    guard report.isIntact, let checkpoint = report.checkpoint else { return nil }
    return try RepairedCheckpoint(checkpoint, isIntact: true)
  }

  /// Whether the file is a zip archive, whose first bytes may be damaged.
  static func isArchive(_ file: File) throws -> Bool {
    if try file.bytes(at: 0, count: min(2, file.size)).elementsEqual("PK".utf8) { return true }
    return (try? ZipReader(file)) != nil
  }

  /// Repairs a file that is known to be damaged, and is no index of shards.
  func repairDamaged(_ file: File) throws -> RepairedCheckpoint {
    let input = try CheckpointInput(file)
    if try Self.isArchive(file) { return try ArchiveRepair(self, file).repaired() }
    if LegacyReader.recognizes(input) { return try repairLegacy(file) }
    if TarReader.recognizes(input) { return try repairTar(file) }
    if try GGUFReader.recognizes(input) { return try repairGGUF(file) }
    if case .file(_, let start) = input, SafetensorsHeader.isLikely(start, fileSize: file.size) {
      return try repairSafetensors(file)
    }
    // Formats that cannot be repaired: opening the file tells what is wrong with it.
    _ = try Checkpoint(file)
    throw RepairError.unsupported(file: file.path)
  }
}
