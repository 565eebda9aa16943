internal import CkptBytes
internal import CkptIO
internal import CkptText

extension FileScanner {
  /// Lists what a content holds, as all archives and compressed streams that it could be; returns
  /// whether it is one.
  mutating func examineArchives(_ content: ScanContent, _ start: [UInt8]) throws -> Bool {
    // The archives of a distributed checkpoint are read one by one, by the ranges in `.metadata`.
    if isListed(content.source.byteCount, content) { return true }
    var isKnown = try examineZips(content, start)
    if TarSurvey.recognizes(start) {
      isKnown = true
      try examineTar(content)
    }
    if let compression = Compression.recognize(start) {
      // Two bytes are no certain sign of zlib, nor is the beginning of .lzma.
      let isCertain = compression != .zlib && start[0] != 0x5D
      let first = try compression.decompress(content.source, limit: 512, path: path)
      if isCertain || first.isCut || first.problem == nil {
        isKnown = true
        var inner = ScanContent(
          place: content.place(of: "what \(compression.rawValue) holds"), source: content.source,
          depth: content.depth + 1, compression: compression)
        inner.isNamedPickle = false
        enqueue([inner])
      }
    }
    return isKnown
  }

  // MARK: - Zip

  /// Lists the records of the zip archive at the end of a content, and of those before it, as in
  /// the data files of a distributed checkpoint.
  private mutating func examineZips(_ content: ScanContent, _ start: [UInt8]) throws -> Bool {
    var archives: [[ScanContent]] = []
    var end = content.source.byteCount
    while end > 0, archives.count < ScanBudget.partLimit, !budget.isUsedUp {
      guard let survey = try ZipSurvey(content.source.part(0..<end)) else { break }
      use(min(end - survey.base, 1 << 16) + 4 * survey.directoryByteCount)
      let name = survey.base > 0 ? "archive at byte \(survey.base)" : ""
      archives.append(try parts(of: survey, content, name))
      archiveRanges.insert(survey.base..<end)
      end = survey.base
    }
    if archives.isEmpty {
      guard start.starts(with: [0x50, 0x4B, 3, 4]) else { return false }
      find("a zip archive whose end is cut off", in: content.place, isDamage: true)
      return true
    }
    if end > 0, !budget.isUsedUp, !isListed(end, content) {
      skip(content.place, "\(end) bytes before an archive, unless they are listed here")
    }
    enqueue(Array(archives.reversed().joined()))
    return true
  }

  /// Whether the bytes before `end` are those that `.metadata` lists.
  private func isListed(_ end: Int, _ content: ScanContent) -> Bool {
    var covered = 0
    for range in content.references.sorted(by: { $0.lowerBound < $1.lowerBound })
    where range.lowerBound <= covered {
      covered = max(covered, range.upperBound)
    }
    return covered >= end
  }

  private mutating func parts(
    of survey: ZipSurvey, _ content: ScanContent, _ archive: String
  ) throws -> [ScanContent] {
    let inside = archive.isEmpty ? content.place : content.place(of: archive)
    func place(_ name: String) -> String {
      let shown = Text.printable(name)
      return inside.isEmpty ? shown : "\(inside): \(shown)"
    }
    for oddity in survey.oddities { find("a zip archive that is not clear: \(oddity)", in: inside) }
    let folders = Self.pytorchFolders(survey)
    let isTorchScript = survey.records.contains {
      let name = $0.name.foldingASCII
      return name == "constants.pkl" || name.hasSuffix("/constants.pkl")
    }
    if isTorchScript { try examineTorchScript(survey, content, inside) }
    try examineKeras(survey, content, inside)
    var parts: [ScanContent] = []
    var seen: Set<[Int]> = []
    for record in survey.records {
      for oddity in record.oddities { find(oddity, in: place(record.name)) }
      guard let range = record.range, !range.isEmpty, !record.name.hasSuffix("/") else { continue }
      if record.oddities.isEmpty, Self.isStorage(record.name, folders) { continue }
      for method in record.methods
      where seen.insert([range.lowerBound, range.count, method]).inserted {
        var part = ScanContent(
          place: place(record.name), source: content.source.part(range), depth: content.depth + 1)
        switch method {
        case 0: break
        case 8: part.compression = .deflate
        case 12: part.compression = .bzip2
        default:
          skip(part.place, "compression method \(method) of zip archives")
          continue
        }
        // A record without a checksum has 0.
        part.recordedCRC32 = record.crc32
        part.statedByteCount = record.byteCount
        part.isTorchScript = isTorchScript
        part.isNamedPickle = ScanContent.isPickleName(record.name)
        parts.append(part)
      }
    }
    return parts
  }

  /// The folders of an archive that PyTorch reads: those with a `data.pkl`, in small letters.
  private static func pytorchFolders(_ survey: ZipSurvey) -> Set<String> {
    Set(
      survey.records.compactMap { record in
        let name = record.name.foldingASCII
        return name.hasSuffix("/data.pkl") ? String(name.dropLast(8)) : nil
      })
  }

  /// Whether a record's name is that of a storage, such as `folder/data/7`, which PyTorch only
  /// reads as a storage.
  private static func isStorage(_ name: String, _ folders: Set<String>) -> Bool {
    let name = name.foldingASCII
    guard let slash = name.lastIndex(of: "/"),
      name[name.index(after: slash)...].utf8.allSatisfy({ (0x30...0x39).contains($0) })
    else { return false }
    for kind in ["data", "constants"] where name[..<slash].hasSuffix("/" + kind) {
      if folders.contains(String(name[..<slash].dropLast(kind.count))) { return true }
    }
    return false
  }

  // MARK: - Tar

  private mutating func examineTar(_ content: ScanContent) throws {
    let survey = try TarSurvey(content.source)
    if let offset = survey.breakOffset {
      find(
        "a tar archive that breaks off at byte \(offset)", in: content.place, isDamage: true)
    }
    if survey.hasMore { skip(content.place, "a tar archive of too many members") }
    var parts: [ScanContent] = []
    for member in survey.members where !member.isFolder {
      let place = content.place(of: Text.printable(member.name))
      if let special = member.special { skip(place, special) }
      guard !member.range.isEmpty else { continue }
      var part = ScanContent(
        place: place, source: content.source.part(member.range), depth: content.depth + 1)
      part.tarMember = .init(rawValue: member.name)
      part.isNamedPickle = ["pickle", "storages", "tensors"].contains(member.name)
      parts.append(part)
    }
    use(512 * survey.members.count)
    enqueue(parts)
  }
}
