internal import CkptBytes
public import CkptIO
package import CkptPlatform
internal import CkptTensors
internal import CkptZip

/// The result of verifying a file: its container, the checksum of every record, its pickle, and
/// that every tensor is within its storage.
public struct IntegrityReport: Sendable {
  /// A damaged part of the file.
  public struct Problem: Sendable, Hashable {
    /// One line that says what is wrong and where.
    public let description: String
    /// The damaged record; nil if the problem concerns the whole file.
    public let record: String?
    /// The path of a tensor whose elements are in the damaged record; nil if there is none.
    public let key: String?
  }

  /// The file's format; nil if it could not be read as a checkpoint.
  public internal(set) var format: Checkpoint.Format?
  /// The number of records that were read completely.
  public internal(set) var recordCount = 0
  /// The number of bytes in these records.
  public internal(set) var byteCount = 0
  /// Records without a recorded checksum, which cannot be verified.
  public internal(set) var unrecorded: [String] = []
  /// Files of a distributed checkpoint's folder that its `.metadata` does not name.
  public internal(set) var unusedFiles: [String] = []
  /// The number of tensors that are within their storages.
  public internal(set) var tensorCount = 0
  /// The kind of an archive of PyTorch that is not a checkpoint, such as an exported program.
  package internal(set) var other: OtherFile?
  /// The checkpoint, if it could be read; parts of it may be damaged.
  package internal(set) var checkpoint: Checkpoint?
  /// All problems, in the order of the file.
  public internal(set) var problems: [Problem] = []

  /// Whether no problem was found.
  public var isIntact: Bool { problems.isEmpty }

  /// Reads the whole file at `path`.
  ///
  /// - Parameters:
  ///   - cancellation: cancels the reading.
  ///   - progress: called from any thread with the number of bytes read since the last call.
  /// - Throws: `FileError` if the file cannot be read; `CheckpointError` or `ZipError` if it is not
  ///   a checkpoint at all, rather than a damaged one; `CancelledError`.
  package init(
    _ path: String, cancellation: Cancellation = Cancellation(),
    progress: (@Sendable (Int) -> Void)? = nil
  ) throws {
    let input = try CheckpointInput(path)
    if case .folder(let folder) = input, try DistributedLayout.isRecognized(input) {
      try readDistributed(folder, input, cancellation, progress)
      return
    }
    guard case .file(let file, let start) = input, Self.isZip(start) else {
      try readOther(input, cancellation, progress)
      return
    }
    guard let checks = try check(file, cancellation, progress) else { return }
    var checkpoint: Checkpoint?
    var failure: (any Diagnostic)?
    do {
      checkpoint = try Checkpoint(file)
    } catch let error as CheckpointError where error.otherFile != nil {
      guard let found = error.otherFile, found.isPyTorch else { throw error }
      other = found
    } catch let error as any Diagnostic where error.kind == .badInput {
      failure = error
    }
    add(checks, of: checkpoint, in: file)
    self.checkpoint = checkpoint
    if let checkpoint { read(checkpoint) }
    // A damaged pickle is reported once.
    if let failure, !problems.contains(where: { $0.description == failure.description }) {
      problems.append(Problem(description: failure.description, record: nil, key: nil))
    }
  }

  private static func isZip(_ start: [UInt8]) -> Bool { start.starts(with: Array("PK".utf8)) }

  /// Checks all records of an archive; nil if it cannot be opened, which is reported as a problem.
  private mutating func check(
    _ file: File, _ cancellation: Cancellation, _ progress: (@Sendable (Int) -> Void)?
  ) throws -> [ZipReader.RecordCheck]? {
    do {
      return try ZipReader(file).checkRecords(cancellation: cancellation, progress: progress)
    } catch let error as ZipError {
      problems.append(Problem(description: error.description, record: nil, key: nil))
      return nil
    }
  }

  private mutating func add(
    _ checks: [ZipReader.RecordCheck], of checkpoint: Checkpoint?, in file: File
  ) {
    for check in checks {
      count(check, named: check.entry.name)
      guard let problem = check.problem else { continue }
      problems.append(
        Problem(
          description: problem.description, record: check.entry.name,
          key: checkpoint?.keyOfStorage(named: check.entry.name, in: file)))
    }
  }

  /// Counts a record whose bytes were read.
  mutating func count(_ check: ZipReader.RecordCheck, named name: String) {
    recordCount += 1
    byteCount += check.entry.byteCount
    if check.entry.recordedCRC32 == nil { unrecorded.append(name) }
  }

  /// Checks other formats: their structure, the tensors' bounds, the checksums of archives in
  /// several files, and that all other bytes can be read.
  private mutating func readOther(
    _ input: CheckpointInput, _ cancellation: Cancellation, _ progress: (@Sendable (Int) -> Void)?
  ) throws {
    // The last reader accepts all unknown files.
    let isKnown = try FormatRegistry.readers.dropLast().contains { try $0.recognizes(input) }
    let checkpoint: Checkpoint
    do {
      checkpoint = try Checkpoint(input)
    } catch let error as CheckpointError where error.otherFile != nil {
      throw error
    } catch let error as any Diagnostic where isKnown && error.kind == .badInput {
      problems.append(Problem(description: error.description, record: nil, key: nil))
      return
    }
    self.checkpoint = checkpoint
    read(checkpoint)
    var archives: Set<File.Identity> = []
    for file in checkpoint.files
    where try Self.isZip(file.bytes(at: 0, count: min(file.size, 2)))
      && archives.insert(file.identity).inserted
    {
      if let checks = try check(file, cancellation, progress) {
        add(checks, of: checkpoint, in: file)
      }
    }
    var seen: Set<ObjectIdentifier> = []
    for tensor in checkpoint.document.tensors.values.sorted(by: {
      $0.storage.name < $1.storage.name
    })
    where seen.insert(ObjectIdentifier(tensor.storage)).inserted {
      if case .region(let region) = tensor.storage.source,
        archives.contains(region.file.identity)
      {
        continue
      }
      do {
        try tensor.storage.source.forEachBlock { block, _ in
          try cancellation.check()
          progress?(block.byteCount)
        }
      } catch let error as any Diagnostic where error.kind == .badInput {
        // A tensor that is put together of parts of records, which may be reported without a key.
        problems.removeAll { $0.description == error.description }
        problems.append(
          Problem(
            description: error.description, record: (error as? ChecksumError)?.record,
            key: tensor.storage.name))
      }
      recordCount += 1
      byteCount += tensor.storage.byteCount
      unrecorded.append(tensor.storage.name)
    }
  }

  mutating func read(_ checkpoint: Checkpoint) {
    format = checkpoint.format
    tensorCount = checkpoint.document.tensors.count
  }
}
