public import CkptPlatform
internal import CkptBytes

/// Options of how a checkpoint is written.
public struct WriteOptions: Sendable {
  /// The format; nil lets the output's name decide.
  public var format: Checkpoint.Format?
  /// Where the state dict is, for formats that hold nothing else; nil finds it.
  public var at: String?

  /// What happens to tensors that share their elements, in formats without sharing.
  public var ties = TiePolicy.keepFirst
  /// Whether what is no tensor is left out of formats that hold tensors alone; if not, it is an error.
  public var dropsObjects = false
  /// Whether elements that a file holds as blocks of a few bits each are written as the 32-bit floats that
  /// they stand for; if not, they are an error, since they take several times the space.
  public var dequantizes = false
  /// The file or folder beside or in which lie the files that belong to the model (`config.json`, tokenizer files,
  /// the license), to be copied into an output that is a folder of a model's files; nil copies none.
  public var carriesFilesOf: String?
  /// How large a shard may be, in bytes; nil is 5 GB, as in huggingface_hub.
  public var maxShardByteCount: Int?

  /// What ``maxShardByteCount`` is where nobody says.
  public static let shardByteCount = 5_000_000_000

  /// The output's name decides on the format; without an ending, it stays the input's.
  public init(format: Checkpoint.Format? = nil, at: String? = nil) {
    self.format = format
    self.at = at
  }
}

/// The layout of an output, made from sizes alone before the first byte is written.
public struct OutputPlan: Sendable {
  /// One file of the output.
  public struct File: Sendable {
    /// Its name; in an output that is a folder, its name there.
    public let name: String
    /// How many bytes it will have.
    public let byteCount: Int
    /// Gives the bytes that it begins with, as far as they are known; they tell it from others of its length.
    let beginning: @Sendable () -> [UInt8]
    /// Writes all of them.
    let write: @Sendable (CkptPlatform.File, WriteContext) throws -> Void

    /// A file of `byteCount` bytes that `write` writes.
    init(
      name: String, byteCount: Int, beginning: @escaping @Sendable () -> [UInt8] = { [] },
      write: @escaping @Sendable (CkptPlatform.File, WriteContext) throws -> Void
    ) {
      self.name = name
      self.byteCount = byteCount
      self.beginning = beginning
      self.write = write
    }

    /// A file of those bytes.
    init(name: String, bytes: [UInt8]) {
      self.init(name: name, byteCount: bytes.count, beginning: { bytes }) { file, context in
        try file.write(bytes, at: 0)
        context.stream.progress?(bytes.count)
      }
    }
  }

  /// The output's format.
  public let format: Checkpoint.Format
  /// The path of the file or folder that is written.
  public let path: String
  /// Whether the output is a folder of files rather than one file.
  public let isFolder: Bool
  /// The files, in the order in which they are put in place.
  public let files: [File]

  /// Whether the output would replace an existing file.
  public var replaces: Bool {
    guard isFolder else { return AtomicOutput.exists(at: path) }
    return !obsolete.isEmpty
      || (carried + files).contains { AtomicOutput.exists(at: path + "/" + $0.name) }
  }

  /// How many bytes will be written.
  public var byteCount: Int { (carried + files).reduce(0) { $0 + $1.byteCount } }

  /// Files of the input's folder that belong to the model and are copied, before the others.
  public internal(set) var carried: [File] = []
  /// Files in the folder that belonged to an earlier checkpoint of the same name, and go.
  public let obsolete: [String]
  /// The parts of the checkpoint that the output leaves out or changes.
  public internal(set) var report: OutputReport

  /// An output of one file.
  init(
    format: Checkpoint.Format, path: String, file: File, report: OutputReport = OutputReport()
  ) {
    self.format = format
    self.path = path
    isFolder = false
    files = [file]
    obsolete = []
    self.report = report
  }

  /// An output of several files in the folder at `path`; the last one is that by which readers find the
  /// others.
  init(
    format: Checkpoint.Format, folder path: String, files: [File], obsolete: [String] = [],
    report: OutputReport = OutputReport()
  ) {
    var path = path[...]
    while path.utf8.count > 1, path.hasSuffix("/") { path.removeLast() }
    self.format = format
    self.path = String(path)
    isFolder = true
    self.files = files
    self.obsolete = obsolete
    self.report = report
  }

  /// Writes the output: all of it appears, or nothing does. Files of an existing folder are replaced one after the
  /// other; the index, by which readers find them, comes last.
  ///
  /// - Parameter verifying: whether recorded checksums are compared on the way; if not, they are copied
  ///   without being verified.
  /// - Returns: how many bytes were written.
  /// - Throws: `FileError`; `ChecksumError` for a damaged storage; `CancelledError`; what computing tensors throws.
  @discardableResult
  public func write(
    replacingExisting: Bool = false, verifying: Bool = true,
    cancellation: Cancellation = Cancellation(),
    progress: (@Sendable (WorkProgress) -> Void)? = nil
  ) throws -> Int {
    let context = WriteContext(
      cancellation, ProgressMeter.counter(.writing, of: byteCount, progress), verifying: verifying)
    if isFolder {
      let output = try AtomicFolder(
        path: path, replacingExisting: replacingExisting, cancellation: cancellation)
      guard replacingExisting || obsolete.isEmpty else {
        throw FileError(
          .cannotCreate, "holds another checkpoint of the same name (\(obsolete[0]))", path: path,
          hint: "\(.replaceExisting) replaces it")
      }
      for file in carried + files {
        try file.write(output.makeFile(file.name), context)
        try output.sync()
      }
      try output.commit(removing: obsolete)
    } else {
      let output = try AtomicOutput(
        path: path, replacingExisting: replacingExisting, cancellation: cancellation)
      for file in files { try file.write(output.file, context) }
      try output.commit()
    }
    return byteCount
  }

  /// The same in a task's thread of its own; if the task is cancelled, the target stays as it was.
  ///
  /// - Throws: as the form that waits; `CancelledError` if the task is cancelled.
  @discardableResult
  public func write(
    replacingExisting: Bool = false, verifying: Bool = true,
    progress: (@Sendable (WorkProgress) -> Void)? = nil
  ) async throws -> Int {
    try await Cancellation.whileTaskRuns { cancellation in
      try write(
        replacingExisting: replacingExisting, verifying: verifying, cancellation: cancellation,
        progress: progress)
    }
  }
}

/// What goes with the writing of every file.
struct WriteContext: Sendable {
  /// Writes segments, told whether to verify, when to stop and whom to tell of progress.
  let stream: StreamWriter

  init(
    _ cancellation: Cancellation, _ progress: (@Sendable (Int) -> Void)?, verifying: Bool
  ) {
    var stream = StreamWriter(cancellation: cancellation, progress: progress)
    stream.verifies = verifying
    self.stream = stream
  }
}

extension Checkpoint {
  /// Writes the checkpoint, by default as PyTorch would: a zip archive of stored, aligned records.
  ///
  /// The output appears whole or not at all. Storages go from file to file in blocks, and their
  /// checksums are compared on the way; those that nothing uses are left out. The same checkpoint gives
  /// the same bytes. An archive's top folder is named after the file, as PyTorch does.
  /// - Parameters:
  ///   - options: in which format, and what of it.
  ///   - replacingExisting: whether files of the same names may be replaced.
  ///   - cancellation: stops the writing.
  ///   - progress: told how far it is, from any thread.
  /// - Returns: the output's size in bytes.
  /// - Throws: `FileError`; `ChecksumError` for a damaged storage, naming its record and the
  ///   key of its tensor; `CheckpointError.cannotWrite`; `CancelledError`.
  @discardableResult
  public func write(
    to path: String, options: WriteOptions = WriteOptions(), replacingExisting: Bool = false,
    cancellation: Cancellation = Cancellation(),
    progress: (@Sendable (WorkProgress) -> Void)? = nil
  ) throws -> Int {
    try plan(writingTo: path, options: options).write(
      replacingExisting: replacingExisting, cancellation: cancellation, progress: progress)
  }

  /// The same from a task; if the task is cancelled, the target stays as it was.
  ///
  /// - Throws: as the form that waits; `CancelledError` if the task is cancelled.
  @discardableResult
  public func write(
    to path: String, options: WriteOptions = WriteOptions(), replacingExisting: Bool = false,
    progress: (@Sendable (WorkProgress) -> Void)? = nil
  ) async throws -> Int {
    let plan = try plan(writingTo: path, options: options)
    return try await plan.write(replacingExisting: replacingExisting, progress: progress)
  }

  /// Lays out what ``write(to:options:replacingExisting:cancellation:progress:)`` would write; no tensor
  /// is read.
  ///
  /// - Throws: `CheckpointError` for what the format cannot hold; `FileError` where the output cannot be.
  public func plan(
    writingTo path: String, options: WriteOptions = WriteOptions()
  ) throws -> OutputPlan {
    WorkCounters.add(.layout)
    let name = OutputName(path)
    let format = try name.format(options.format, keeping: self.format)
    let writer = try FormatRegistry.writer(of: format)
    try checkBlocks(options) { writer.keepsBlocks(of: $0, options) }
    var plan = try writer.plan(self, to: path, options)
    plan.report.lostMetadata = lostMetadata(in: format)
    try Folder.checkParent(of: plan.path)
    if let source = options.carriesFilesOf, plan.isFolder {
      let own = Set(plan.files.map(\.name))
      plan.carried = try CarriedFiles.beside(source, for: plan.path)
        .filter { !own.contains($0.name) }
    }
    return plan
  }

  /// How many bytes ``write(to:options:replacingExisting:cancellation:progress:)`` would write.
  ///
  /// - Throws: as ``plan(writingTo:options:)``.
  public func plannedByteCount(
    for path: String, options: WriteOptions = WriteOptions()
  ) throws -> Int {
    try plan(writingTo: path, options: options).byteCount
  }
}
