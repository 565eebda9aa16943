internal import CkptIO
public import CkptPlatform
internal import CkptSafetensors
internal import CkptText

/// What loading a file, or the files of a folder, could do, determined from their bytes only.
///
/// Files that cannot be read as a checkpoint are examined, too, since `pickle` runs everything
/// before the damage. Each file is taken for everything that a loader could take it for.
public struct ScanReport: Sendable {
  /// What was found in each file, in the order of their paths.
  public internal(set) var files: [FileScan] = []

  /// The worst verdict.
  public var verdict: GlobalRating { files.map(\.verdict).max() ?? .safe }

  /// The maximum number of files and folders in a folder.
  private static let fileLimit = 1 << 20
  /// The maximum number of folders in each other.
  private static let depthLimit = 64

  /// Creates a report about no files.
  public init() {}

  /// Adds the files of another report.
  public mutating func add(_ other: ScanReport) { files += other.files }

  /// Scans the file or folder at `path`: all files of a folder and its subfolders, and the shards
  /// that an index lists.
  ///
  /// - Throws: `FileError`; `CheckpointError.otherFile` or `.notACheckpoint` for a single file that
  ///   nobody loads as a checkpoint; `CancelledError`.
  public init(_ path: String, cancellation: Cancellation = Cancellation()) throws {
    if Folder.exists(at: path) {
      try scanFolder(path, cancellation)
      return
    }
    let file = try File(readingFrom: path)
    let start = try file.bytes(at: 0, count: min(file.size, 512))
    if ShardIndex.isLikely(start), let index = try? ShardIndex(reading: file) {
      try scanShards(of: index, at: path, cancellation)
      return
    }
    let scan = try scan(file, named: path, [], cancellation)
    if scan.isEmpty, scan.skipped.allSatisfy(\.isHarmless) || start.isEmpty {
      if let other = try OtherFile.recognize(file, start: start) {
        throw CheckpointError.otherFile(file: path, other)
      }
      throw CheckpointError.notACheckpoint(
        file: path, "is neither an archive nor a pickle, so that there is nothing to scan")
    }
    files = [scan]
  }

  private func scan(
    _ file: File, named shown: String, _ references: [Range<Int>], _ cancellation: Cancellation
  ) throws -> FileScan {
    var scanner = FileScanner(file, named: shown, references: references)
    try scanner.run(cancellation)
    return scanner.scan
  }

  /// A file that could not be opened, which is not harmless.
  private static func unread(_ shown: String, _ error: any Diagnostic) -> FileScan {
    var scan = FileScan(file: shown)
    scan.add(.init(what: "", why: error.description, isHarmless: false))
    return scan
  }

  private mutating func scanShards(
    of index: ShardIndex, at path: String, _ cancellation: Cancellation
  ) throws {
    let folder = try Folder(ofFileAt: path)
    var seen: Set<String> = []
    for (_, name) in index.files where seen.insert(name).inserted {
      let shown = folder.path == "." ? name : folder.path + "/" + name
      files.append(try scan(folder.open(name), named: shown, [], cancellation))
    }
  }

  private mutating func scanFolder(_ path: String, _ cancellation: Cancellation) throws {
    var pending = [(folder: try Folder(path), depth: 0)]
    var seen: [File.Identity: String] = [:]
    while let (folder, depth) = pending.popLast() {
      try cancellation.check()
      let references = try StorageReferences.inFolder(folder)
      var inner: [(Folder, Int)] = []
      for name in folder.names {
        let shown = folder.path + "/" + name
        do {
          guard files.count < Self.fileLimit, depth < Self.depthLimit else {
            throw FileError(.badInput, "was not looked into: there are too many files", path: shown)
          }
          if Folder.exists(at: shown) {
            inner.append((try folder.subfolder(name), depth + 1))
            continue
          }
          let file = try folder.open(name)
          if let other = seen.updateValue(shown, forKey: file.identity) {
            var scan = FileScan(file: shown)
            scan.add(.init(what: "", why: "the same file as \(other)", isHarmless: true))
            files.append(scan)
            continue
          }
          files.append(try scan(file, named: shown, references[name] ?? [], cancellation))
        } catch let error as FileError where error.kind != .inputOutput {
          files.append(Self.unread(shown, error))
        }
      }
      pending += inner.reversed()
    }
    files.sort { $0.file.utf8.lexicographicallyPrecedes($1.file.utf8) }
  }
}
