internal import CkptBytes
public import CkptPlatform

/// One of several jobs that write a sharded output together, each by itself, on any machine that sees the
/// inputs and the output's folder.
public struct OutputPart: Sendable, Hashable, CustomStringConvertible {
  /// Which one, from 1.
  public let number: Int
  /// How many there are.
  public let count: Int

  /// Job `number` of `count`; nil unless 1 ≤ `number` ≤ `count`.
  public init?(number: Int, of count: Int) {
    guard number >= 1, number <= count else { return nil }
    self.number = number
    self.count = count
  }

  /// A job as the command line writes it: `2/8`.
  public init?(_ text: String) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false).map { Int($0) }
    guard parts.count == 2, let number = parts[0], let count = parts[1] else { return nil }
    self.init(number: number, of: count)
  }

  /// As the command line writes it.
  public var description: String { "\(number)/\(count)" }
}

extension OutputPlan {
  /// The shards: all files but the index, which can be had from them (``ShardSet``).
  public var shards: ArraySlice<File> {
    guard isFolder else { return [] }
    return format.isSharded && files.last?.name.hasSuffix(".index.json") == true
      ? files.dropLast() : files[...]
  }

  /// The file by which readers find the shards; nil if there is none.
  public var index: File? { shards.count < files.count ? files.last : nil }

  /// The work of one of several jobs.
  public struct Job: Sendable {
    /// Which job it is.
    public let part: OutputPart
    /// The shards that it writes.
    public let shards: ArraySlice<File>
    /// How many bytes these have.
    public var byteCount: Int { shards.reduce(0) { $0 + $1.byteCount } }
  }

  /// The work of a job.
  public func job(_ part: OutputPart) -> Job { Job(part: part, shards: shards(of: part)) }

  /// The output as independent jobs, at most `count` and no more than there are shards.
  ///
  /// Each is written by ``write(_:replacingExisting:verifying:cancellation:progress:)``; the ``index`` comes when all
  /// are done.
  /// - Returns: nil unless the output is sharded, and `count` at least 1.
  public func jobs(_ count: Int) -> [Job]? {
    let count = min(count, shards.count)
    guard isFolder, count >= 1 else { return nil }
    return (1...count).compactMap { OutputPart(number: $0, of: count).map(job) }
  }

  /// The shards that a job writes: neighbors, about as many for each job.
  func shards(of part: OutputPart) -> ArraySlice<File> {
    let count = shards.count
    let (whole, rest) = (count / part.count, count % part.count)
    let first = (part.number - 1) * whole + min(part.number - 1, rest)
    return shards[first..<first + whole + (part.number <= rest ? 1 : 0)]
  }

  /// Writes the shards of one job, each of which appears whole or not at all.
  ///
  /// A shard that is there already, as long as it will be and with the beginning that it will have, is left
  /// as it is: a job that was interrupted goes on where it stopped. Without the index the folder is no
  /// checkpoint yet.
  /// - Returns: how many bytes were written.
  /// - Throws: `CheckpointError.cannotWrite` unless the output is sharded; what
  ///   ``write(replacingExisting:verifying:cancellation:progress:)`` throws.
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
    let counted = ProgressMeter.counter(.writing, of: job(part).byteCount, progress)
    let context = WriteContext(cancellation, counted, verifying: verifying)
    var written = 0
    // What is copied is the first job's.
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
  /// Whether the file at `path` is as long as this one and begins as it does.
  func isThere(at path: String) throws -> Bool {
    let file = try CkptPlatform.File(readingFrom: path)
    guard file.size == byteCount else { return false }
    let beginning = beginning()
    guard file.size >= beginning.count else { return false }
    return try file.bytes(at: 0, count: beginning.count) == beginning
  }
}
