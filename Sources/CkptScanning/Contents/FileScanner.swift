internal import CkptBytes
internal import CkptIO
internal import CkptPlatform
internal import CkptText

/// Examines one file and everything in it.
///
/// Each content is examined as everything that any loader could take it for: a file may be a
/// pickle and a tar archive at the same time. What it holds is put on a list and examined later, so
/// that no function recurses.
struct FileScanner {
  /// What was found so far.
  private(set) var scan: FileScan
  /// What is left to do; the last one is next.
  private var pending: [ScanContent]
  private(set) var budget: ScanBudget
  let path: String
  /// The ranges of the current content that are archives.
  var archiveRanges: Set<Range<Int>> = []
  private var positions: [String: Int] = [:]

  /// The checksum of larger records is not compared; `verify` does that.
  private static let checksumLimit = 64 << 20

  /// Prepares to scan `file`.
  ///
  /// - Parameters:
  ///   - shown: the name in the report.
  ///   - references: byte ranges of the file that `.metadata` lists.
  init(_ file: File, named shown: String, references: [Range<Int>] = []) {
    scan = FileScan(file: shown)
    path = file.path
    budget = ScanBudget(byteCount: file.size)
    let region = FileRegion(file: file, offset: 0, byteCount: file.size, name: "")
    let isNamedPickle = ScanContent.isPickleName(shown)
    pending = [
      ScanContent(
        source: .region(region), isNamedPickle: isNamedPickle, references: references)
    ]
  }

  /// Examines the file and all parts.
  ///
  /// - Throws: `FileError` if the file cannot be read, or temporary files cannot be written;
  ///   `CancelledError`.
  mutating func run(_ cancellation: Cancellation) throws {
    while let content = pending.popLast() {
      try cancellation.check()
      if budget.isUsedUp { break }
      try examine(content)
    }
    if budget.isUsedUp {
      skip("", "some parts would take too long: they overlap, or expand too much")
    }
    scan.sortGlobals()
  }

  // MARK: - Reporting

  /// Adds a part that was not looked into.
  mutating func skip(_ place: String, _ why: String, isHarmless: Bool = false) {
    scan.add(.init(what: place, why: why, isHarmless: isHarmless))
  }

  /// Adds a finding that is no name.
  mutating func find(
    _ what: String, _ rating: GlobalRating = .unknown, in place: String, isDamage: Bool = false
  ) {
    scan.add(.init(what: what, rating: rating, place: place, isDamage: isDamage))
  }

  /// Adds the names and problems of a pickle.
  mutating func add(_ effects: PickleEffects, in place: String) {
    scan.add(pickle: place)
    scan.verdict = max(scan.verdict, effects.verdict)
    for problem in effects.problems {
      find(
        "\(problem.what) (byte \(problem.offset))", problem.rating, in: place,
        isDamage: problem.rating == .unknown)
    }
    for finding in effects.findings { add(finding, in: place) }
  }

  private mutating func add(_ finding: PickleFinding, in place: String) {
    let key = finding.module + "\n" + finding.name
    let isCalled = finding.use > .named
    if let position = positions[key] {
      var known = scan.globals[position]
      known.isCalled = known.isCalled || isCalled
      guard finding.rating > known.rating else {
        scan.globals[position] = known
        return
      }
      scan.globals[position] = FileScan.Global(
        module: known.module, name: known.name, rating: finding.rating, isCalled: known.isCalled,
        pickle: place, reason: finding.reason)
      return
    }
    guard scan.globals.count < FileScan.listLimit else { return }
    positions[key] = scan.globals.count
    scan.globals.append(
      FileScan.Global(
        module: finding.module, name: finding.name, rating: finding.rating, isCalled: isCalled,
        pickle: place, reason: finding.reason))
  }

  /// Counts work.
  mutating func use(_ byteCount: Int) { budget.use(byteCount) }

  /// Notes that the file is of a format that is examined.
  mutating func noteRecognized() { scan.isRecognized = true }

  /// Puts parts of a content on the list, in order.
  mutating func enqueue(_ parts: [ScanContent]) {
    for var part in parts.reversed() {
      guard part.depth <= ScanBudget.depthLimit else {
        skip(part.place, "it is in more than \(ScanBudget.depthLimit) archives")
        continue
      }
      part.references = []
      pending.append(part)
    }
  }

  // MARK: - One content

  private mutating func examine(_ content: ScanContent) throws {
    var content = content
    if let compression = content.compression {
      guard let expanded = try expand(content, compression) else { return }
      content = expanded
    }
    let source = content.source
    guard source.byteCount > 0 else { return skip(content.place, "it is empty", isHarmless: true) }
    let start = try source.bytes(in: 0..<min(source.byteCount, 1024))
    // Arrays of numbers are not read.
    if !NumpyContent.isPlainArray(start) { try compareChecksum(content) }
    archiveRanges = []
    var isKnown = try examineArchives(content, start)
    isKnown = try examineFormats(content, start) || isKnown
    isKnown = try examinePickles(content, start, isKnown: isKnown) || isKnown
    for range in content.references where !archiveRanges.contains(range) {
      try examineReference(range, of: content)
    }
    if isKnown {
      noteRecognized()
    } else if !budget.isUsedUp {
      describe(content, start)
    }
  }

  /// Decompresses a content; nil if there is nothing to examine.
  private mutating func expand(
    _ content: ScanContent, _ compression: Compression
  ) throws -> ScanContent? {
    var expanded = content
    expanded.compression = nil
    if content.statedByteCount != nil, content.source.byteCount > 4096 {
      // Only the beginning of an array of numbers is needed.
      let start = try compression.decompress(content.source, limit: 4096, path: path)
      use(4096)
      if NumpyContent.isPlainArray(try start.source.allBytes()) {
        noteRecognized()
        return nil
      }
    }
    let output = try compression.decompress(content.source, limit: budget.left, path: path)
    use(output.source.byteCount)
    expanded.source = output.source
    if output.isCut {
      skip(content.place, "it expands to too many bytes; the first ones were examined")
      expanded.recordedCRC32 = nil
    } else if let problem = output.problem {
      find(problem, in: content.place, isDamage: true)
      expanded.recordedCRC32 = nil
    } else if content.depth > 0, content.statedByteCount == nil,
      output.consumed < content.source.byteCount
    {
      let rest = content.source.byteCount - output.consumed
      find("\(rest) bytes stand behind the compressed ones", in: content.place)
    }
    return expanded
  }

  private mutating func compareChecksum(_ content: ScanContent) throws {
    let count = content.source.byteCount
    if let stated = content.statedByteCount, stated != count, content.recordedCRC32 != nil {
      find("it has \(count) bytes, not the \(stated) that are stated", in: content.place)
    }
    guard let recorded = content.recordedCRC32, count <= Self.checksumLimit,
      recorded != 0 || count == 0
    else { return }
    use(count)
    var sum: UInt32 = 0
    try content.source.forEachBlock { block, _ in sum = Checksum.crc32(block, from: sum) }
    if sum != recorded {
      find(
        "its checksum is wrong, which Python's zipfile refuses and PyTorch does not notice",
        in: content.place, isDamage: true)
    }
  }

  private mutating func examineReference(_ range: Range<Int>, of content: ScanContent) throws {
    let place = content.place(of: "byte \(range.lowerBound)")
    guard range.upperBound <= content.source.byteCount else {
      return find("an object listed in .metadata lies outside the file", in: place, isDamage: true)
    }
    var part = content
    (part.place, part.source, part.depth) = (place, content.source.part(range), content.depth + 1)
    enqueue([part])
  }

  // MARK: - Contents of no format that is examined

  private mutating func describe(_ content: ScanContent, _ start: [UInt8]) {
    if content.isNamedPickle {
      return find("it is called a pickle and is none", in: content.place, isDamage: true)
    }
    if let other = OtherFile.recognize(start: start) {
      let isHarmless = HarmlessFiles.contain(other)
      if !isHarmless || content.place.isEmpty {
        skip(content.place, other.name, isHarmless: isHarmless)
      }
      return
    }
    if !content.isTorchScript,
      let code = HarmlessFiles.code(content.place.isEmpty ? scan.file : content.place)
    {
      return skip(content.place, code)
    }
    if OtherFile.isText(Array(start.prefix(512))) {
      // Of an archive's records, only those that matter are listed.
      if content.place.isEmpty { skip("", "text that is no pickle", isHarmless: true) }
      return
    }
    skip(content.place, "of no format that is known")
  }
}
