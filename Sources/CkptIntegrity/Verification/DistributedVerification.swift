internal import CkptIO
internal import CkptPlatform
internal import CkptText
internal import CkptZip

extension IntegrityReport {
  /// Checks a distributed checkpoint: that the archives that `.metadata` names follow one another
  /// in their files without gaps, the checksum of every record in each archive, and that what they
  /// hold is what `.metadata` describes.
  mutating func readDistributed(
    _ folder: Folder, _ input: CheckpointInput, _ cancellation: Cancellation,
    _ progress: (@Sendable (Int) -> Void)?
  ) throws {
    do {
      let layout = try DistributedLayout(folder)
      for archives in Self.grouped(layout.archives) {
        try check(archives, in: folder, cancellation, progress)
      }
      let named = Set(layout.archives.map { ExactText($0.file) })
      unusedFiles = folder.names.filter {
        $0.hasSuffix(".distcp") && !named.contains(ExactText($0))
      }
      let checkpoint = try Checkpoint(input)
      self.checkpoint = checkpoint
      read(checkpoint)
    } catch let error as any Diagnostic
      where error.kind == .badInput || error.kind == .cannotOpen && !problems.isEmpty
    {
      // A file that is missing is a problem already, with the keys of what it held.
      format = .distributed
      // What is wrong with an archive is a problem already.
      if !problems.contains(where: { $0.description.contains(error.description) }) {
        add(problem: error.description)
      }
    }
  }

  /// The archives of each file, in the order of their positions.
  private static func grouped(
    _ archives: [DistributedLayout.Archive]
  ) -> [[DistributedLayout.Archive]] {
    var groups: [[DistributedLayout.Archive]] = []
    for archive in archives {
      if groups.last?.last.map({ ExactText($0.file) }) == ExactText(archive.file) {
        groups[groups.count - 1].append(archive)
      } else {
        groups.append([archive])
      }
    }
    return groups
  }

  private mutating func check(
    _ archives: [DistributedLayout.Archive], in folder: Folder, _ cancellation: Cancellation,
    _ progress: (@Sendable (Int) -> Void)?
  ) throws {
    guard let first = archives.first else { return }
    let file: File
    do {
      file = try folder.open(first.file)
    } catch {
      for archive in archives { add(problem: "\(error.description): \(archive.name)", archive) }
      return
    }
    var end = 0
    var last: Range<Int>?
    // Two entries of the index may name the same archive.
    for archive in archives where archive.range != last {
      last = archive.range
      if let problem = Self.problem(of: archive.range, after: end, in: file) {
        add(problem: "\(problem) (\(file.path), \(archive.name))", archive)
      }
      end = max(end, archive.range.upperBound)
      if archive.range.upperBound <= file.size {
        try check(archive, in: file, cancellation, progress)
      }
    }
    if end < file.size {
      add(problem: "bytes \(end) to \(file.size) belong to nothing in .metadata (\(file.path))")
    }
  }

  private static func problem(of range: Range<Int>, after end: Int, in file: File) -> String? {
    if range.upperBound > file.size {
      return "the archive takes bytes \(range.lowerBound) to \(range.upperBound), and the file has "
        + "\(file.size)"
    }
    if range.lowerBound < end {
      return "the archive begins at byte \(range.lowerBound), inside the one that ends at \(end)"
    }
    if range.lowerBound > end {
      return "bytes \(end) to \(range.lowerBound) before the archive belong to nothing in .metadata"
    }
    return nil
  }

  private mutating func check(
    _ archive: DistributedLayout.Archive, in file: File, _ cancellation: Cancellation,
    _ progress: (@Sendable (Int) -> Void)?
  ) throws {
    let problemCount = problems.count
    do {
      let reader = try ZipReader(file, in: archive.range)
      for check in try reader.checkRecords(cancellation: cancellation, progress: progress) {
        count(check, named: reader.shown(check.entry))
        if let problem = check.problem {
          add(problem: problem.description, archive, record: reader.shown(check.entry))
        }
      }
      if problems.count == problemCount {
        try DistributedLayout.checkObjects(of: archive, in: file)
      }
    } catch let error as any Diagnostic where error.kind == .badInput {
      add(problem: error.description, archive)
    }
  }

  private mutating func add(
    problem: String, _ archive: DistributedLayout.Archive? = nil, record: String? = nil
  ) {
    problems.append(Problem(description: problem, record: record, key: archive?.key))
  }
}
