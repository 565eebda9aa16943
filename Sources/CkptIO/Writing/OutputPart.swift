internal import CkptBytes
public import CkptPlatform

/// One of several jobs that write a sharded output independently, on any machine that has access to
/// the inputs and the output's folder.
public struct OutputPart: Sendable, Hashable, CustomStringConvertible {
  /// The number of the job, from 1.
  public let number: Int
  /// The number of jobs.
  public let count: Int

  /// Creates job `number` of `count`; nil unless 1 ≤ `number` ≤ `count`.
  public init?(number: Int, of count: Int) {
    guard number >= 1, number <= count else { return nil }
    self.number = number
    self.count = count
  }

  /// Parses a job such as `2/8`; nil if the text is invalid.
  public init?(_ text: String) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false).map { Int($0) }
    guard parts.count == 2, let number = parts[0], let count = parts[1] else { return nil }
    self.init(number: number, of: count)
  }

  /// The job as text, such as `2/8`.
  public var description: String { "\(number)/\(count)" }
}

extension OutputPlan {
  /// The shards: all files except the index, which can be recreated from them (``ShardSet``).
  public var shards: ArraySlice<File> {
    guard isFolder else { return [] }
    return format.isSharded && files.last?.name.hasSuffix(".index.json") == true
      ? files.dropLast() : files[...]
  }

  /// The index by which readers find the shards; nil if there is none.
  public var index: File? { shards.count < files.count ? files.last : nil }

  /// The work of one of several jobs.
  public struct Job: Sendable {
    /// The job.
    public let part: OutputPart
    /// The shards that the job writes.
    public let shards: ArraySlice<File>
    /// The number of bytes in these shards.
    public var byteCount: Int { shards.reduce(0) { $0 + $1.byteCount } }
  }

  /// The work of a job.
  public func job(_ part: OutputPart) -> Job { Job(part: part, shards: shards(of: part)) }

  /// Splits the output to independent jobs, at most `count` and at most one per shard.
  ///
  /// Each is written by ``write(_:replacingExisting:verifying:cancellation:progress:)``; the
  /// ``index`` is written when all are done.
  ///
  /// - Returns: the jobs; nil unless the output is sharded and `count` is at least 1.
  public func jobs(_ count: Int) -> [Job]? {
    let count = min(count, shards.count)
    guard isFolder, count >= 1 else { return nil }
    return (1...count).compactMap { OutputPart(number: $0, of: count).map(job) }
  }

  /// The shards that a job writes: neighbors of about the same number of bytes for each job.
  func shards(of part: OutputPart) -> ArraySlice<File> {
    let count = shards.count
    let (whole, rest) = (count / part.count, count % part.count)
    let first = (part.number - 1) * whole + min(part.number - 1, rest)
    return shards[first..<first + whole + (part.number <= rest ? 1 : 0)]
  }

  /// Writes the shards of one job; each appears completely or not at all.
  ///
  /// An existing shard with the same size and the same first bytes is kept, so that an interrupted
  /// job continues where it stopped. Until the index exists, the folder is not a complete
  /// checkpoint.
  ///
  /// - Returns: the number of bytes written.
  /// - Throws: `CheckpointError.cannotWrite` unless the output is sharded; as
  ///   ``write(replacingExisting:verifying:cancellation:progress:)``.
  @discardableResult
  public func write(
    _ part: OutputPart, replacingExisting: Bool = false, verifying: Bool = true,
    cancellation: Cancellation = Cancellation(),
    progress: (@Sendable (WorkProgress) -> Void)? = nil
  ) throws -> Int {
    guard format.isSharded else {
      throw CheckpointError.cannotWrite(
        file: path, "only a sharded output can be written by several jobs",
        hint: "let OUT end with .safetensors.index.json or .bin.index.json")
    }
    try Folder.create(at: path)
    let lock = try FolderLock(path, .shared)
    defer { withExtendedLifetime(lock) {} }
    let counted = ProgressMeter.counter(.writing, of: job(part).byteCount, progress)
    let context = WriteContext(cancellation, counted, verifying: verifying)
    var written = 0
    // Copied files are part of the first job.
    let own = ArraySlice((part.number == 1 ? carried : []) + shards(of: part))
    for (index, file) in zip(own.indices, own) {
      let target = path + "/" + file.name
      if !replacingExisting, AtomicOutput.exists(at: target) {
        guard try file.isThere(at: target) else {
          throw FileError(
            .cannotCreate, "exists already, and is another shard", path: target,
            hint: "\(.replaceExisting) replaces it")
        }
        counted?(file.byteCount)
        continue
      }
      let output = try AtomicOutput(
        path: target, replacingExisting: replacingExisting, cancellation: cancellation)
      try file.write(output.file, context)
      try output.commit(isLast: index == own.endIndex - 1)
      written += file.byteCount
    }
    return written
  }
}

extension OutputPlan.File {
  /// Whether the file at `path` has the same size and the same first bytes.
  func isThere(at path: String) throws -> Bool {
    let file = try CkptPlatform.File(readingFrom: path)
    guard file.size == byteCount else { return false }
    let beginning = beginning()
    guard file.size >= beginning.count else { return false }
    return try file.bytes(at: 0, count: beginning.count) == beginning
  }
}
