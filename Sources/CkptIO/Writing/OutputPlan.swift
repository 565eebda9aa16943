public import CkptPlatform
internal import CkptBytes
internal import CkptSafetensors

/// Options for writing a checkpoint.
public struct WriteOptions: Sendable {
  /// The format; nil for the one determined by the output's name.
  public var format: Checkpoint.Format?
  /// The path of the state dict, for formats that contain only one; nil searches for it.
  public var at: String?

  /// What happens to tensors that share elements, in formats without sharing.
  public var ties = TiePolicy.keepFirst
  /// Whether other objects are dropped in formats that contain only tensors; if not, they are an
  /// error.
  public var dropsObjects = false
  /// Whether quantized blocks are dequantized to float32; if not, they are an error, since they
  /// need several times the space.
  public var dequantizes = false
  /// The checkpoint whose model files (`config.json`, tokenizer files, the license) are copied to
  /// an output that is a folder; nil copies none.
  public var carriesFilesOf: String?
  /// The maximum size of a shard in bytes; nil for 5 GB, as in huggingface_hub.
  public var maxShardByteCount: Int?

  /// The default of ``maxShardByteCount``.
  public static let shardByteCount = 5_000_000_000

  /// Creates options. Without a format, the output's name determines it; without an ending, it is
  /// the input's.
  public init(format: Checkpoint.Format? = nil, at: String? = nil) {
    self.format = format
    self.at = at
  }
}

/// The layout of an output, computed from sizes before anything is written.
public struct OutputPlan: Sendable {
  /// One file of the output.
  public struct File: Sendable {
    /// The name; for an output that is a folder, the name in it.
    public let name: String
    /// The number of bytes.
    public let byteCount: Int
    /// Returns the first bytes, as far as they are known without reading tensors; they distinguish
    /// the file from others of the same size.
    let beginning: @Sendable () -> [UInt8]
    /// Writes the file.
    let write: @Sendable (CkptPlatform.File, WriteContext) throws -> Void

    /// Creates a file of `byteCount` bytes that `write` writes.
    init(
      name: String, byteCount: Int, beginning: @escaping @Sendable () -> [UInt8] = { [] },
      write: @escaping @Sendable (CkptPlatform.File, WriteContext) throws -> Void
    ) {
      self.name = name
      self.byteCount = byteCount
      self.beginning = beginning
      self.write = write
    }

    /// Creates a file with the given bytes.
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

  /// The number of bytes to be written.
  public var byteCount: Int { (carried + files).reduce(0) { $0 + $1.byteCount } }

  /// Model files of the input's folder that are copied before the other files are written.
  public internal(set) var carried: [File] = []
  /// Files of a previous checkpoint of the same name in the folder, which are removed.
  public var obsolete: [String] { isFolder ? obsolete(in: (try? Folder(path))?.names ?? []) : [] }
  /// Whether a file of the given name belongs to a previous checkpoint, unless it is a new one.
  private let isObsolete: @Sendable (String) -> Bool
  /// The parts of the checkpoint that the output leaves out or changes.
  public internal(set) var report: OutputReport

  /// Creates the plan of one file.
  init(
    format: Checkpoint.Format, path: String, file: File, report: OutputReport = OutputReport()
  ) {
    self.format = format
    self.path = path
    isFolder = false
    files = [file]
    isObsolete = { _ in false }
    self.report = report
  }

  /// Creates the plan of several files in the folder at `path`; the last one is the index by which
  /// readers find the others.
  ///
  /// - Parameter isObsolete: whether a file of the given name belongs to a previous checkpoint of
  ///   the same name.
  init(
    format: Checkpoint.Format, folder path: String, files: [File],
    isObsolete: @escaping @Sendable (String) -> Bool = { _ in false },
    report: OutputReport = OutputReport()
  ) {
    self.format = format
    self.path = Folder.trimmed(path)
    isFolder = true
    self.files = files
    self.isObsolete = isObsolete
    self.report = report
  }

  private func obsolete(in names: [String]) -> [String] {
    let new = Set(files.map(\.name))
    return names.filter { !new.contains($0) && isObsolete($0) }
  }

  /// Writes the output; it appears completely or not at all. In an existing folder, the index refers
  /// to all old or all new files at every moment, and other processes that would write in it fail.
  ///
  /// - Parameter verifying: whether recorded checksums are compared; if not, they are copied
  ///   without being verified.
  /// - Returns: how many bytes were written.
  /// - Throws: `FileError`; `ChecksumError` for a damaged storage; `CancelledError`; what computing
  ///   tensors throws.
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
      if !replacingExisting, let old = obsolete.first {
        throw FileError(
          .cannotCreate, "holds another checkpoint of the same name (\(old))", path: path,
          hint: "\(.replaceExisting) replaces it")
      }
      for file in carried + files {
        try file.write(output.makeFile(file.name), context)
        try output.sync()
      }
      try output.commit(removing: obsolete(in:), redirecting: ShardIndex.redirected)
    } else {
      let output = try AtomicOutput(
        path: path, replacingExisting: replacingExisting, cancellation: cancellation)
      for file in files { try file.write(output.file, context) }
      try output.commit()
    }
    return byteCount
  }

  /// Writes the output asynchronously; if the task is canceled, an existing output is unchanged.
  ///
  /// - Throws: as the synchronous form; `CancelledError` if the task is canceled.
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

/// The context in which every file is written.
struct WriteContext: Sendable {
  /// The writer, with its options of verification, cancellation, and progress.
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
  /// Writes the checkpoint; by default as PyTorch does: a zip archive of uncompressed, aligned
  /// records.
  ///
  /// The output appears completely or not at all. Storages are copied from file to file in blocks,
  /// and their checksums are compared meanwhile; unused storages are omitted. The same checkpoint
  /// always gives the same bytes. An archive's top folder is named after the file, as in PyTorch.
  ///
  /// - Parameters:
  ///   - options: the format, and what is written.
  ///   - replacingExisting: whether existing files may be replaced.
  ///   - cancellation: cancels the writing.
  ///   - progress: called with the progress, from any thread.
  /// - Returns: the output's size in bytes.
  /// - Throws: `FileError`; `ChecksumError` for a damaged storage, with its record and the key of a
  ///   tensor; `CheckpointError.cannotWrite`; `CancelledError`.
  @discardableResult
  public func write(
    to path: String, options: WriteOptions = WriteOptions(), replacingExisting: Bool = false,
    cancellation: Cancellation = Cancellation(),
    progress: (@Sendable (WorkProgress) -> Void)? = nil
  ) throws -> Int {
    try plan(writingTo: path, options: options).write(
      replacingExisting: replacingExisting, cancellation: cancellation, progress: progress)
  }

  /// Writes the checkpoint asynchronously; if the task is canceled, an existing output is
  /// unchanged.
  ///
  /// - Throws: as the synchronous form; `CancelledError` if the task is canceled.
  @discardableResult
  public func write(
    to path: String, options: WriteOptions = WriteOptions(), replacingExisting: Bool = false,
    progress: (@Sendable (WorkProgress) -> Void)? = nil
  ) async throws -> Int {
    let plan = try plan(writingTo: path, options: options)
    return try await plan.write(replacingExisting: replacingExisting, progress: progress)
  }

  /// Computes the layout of the output of
  /// ``write(to:options:replacingExisting:cancellation:progress:)``; no tensor is read.
  ///
  /// - Throws: `CheckpointError` for objects that the format cannot represent; `FileError` if the
  ///   output cannot be created.
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

  /// The number of bytes that ``write(to:options:replacingExisting:cancellation:progress:)`` would
  /// write.
  ///
  /// - Throws: as ``plan(writingTo:options:)``.
  public func plannedByteCount(
    for path: String, options: WriteOptions = WriteOptions()
  ) throws -> Int {
    try plan(writingTo: path, options: options).byteCount
  }
}
