internal import CkptBytes
package import CkptPlatform
internal import CkptText

/// Finds the records of a damaged archive by their local headers and data descriptors, whether or
/// not there is a directory, and compares the checksums of all of them.
///
/// A record's size and checksum may be in its header, in a data descriptor behind its bytes, and in
/// the directory. Those that match the bytes are used, so that damage to one of them is harmless.
/// The file is read a few times at most, in blocks.
package struct ZipSearch {
  /// The file.
  package let file: File
  /// The records, in the order of the file.
  package private(set) var records: [FoundRecord] = []
  /// The byte ranges before the directory that belong to no record.
  package private(set) var gaps: [Range<Int>] = []
  /// Whether the directory was found and could be read.
  package let hasDirectory: Bool

  /// The directory's records by the offset of their headers.
  private var listed: [Int: ZipEntry] = [:]
  /// The offsets of all headers in the directory, ascending.
  private var listedOffsets: [Int] = []
  /// The top folder of the first record, which all records share; nil if it is unknown.
  private var folder: String?
  /// The number of bytes that may still be read to try sizes that may be wrong. It keeps the work
  /// linear in the file's size.
  private var budget: Int
  /// Whether the records so far are not contiguous, so that further headers are uncertain.
  private var isBroken = false

  /// Searches the whole file.
  ///
  /// - Throws: `FileError`; `CancelledError`.
  package init(_ file: File, cancellation: Cancellation = Cancellation()) throws {
    self.file = file
    budget = file.size > Int.max / 8 ? Int.max / 2 : 3 * file.size + (16 << 20)
    let entries = Self.directory(of: file)
    hasDirectory = entries != nil
    for entry in entries ?? [] { listed[entry.headerOffset] = entry }
    listedOffsets = listed.keys.sorted()
    let names = (entries ?? []).lazy.map(\.name)
    folder = names.first.flatMap(Self.folder)
    try search(cancellation)
  }

  private static func directory(of file: File) -> [ZipEntry]? {
    try? ZipDirectory(file, in: 0..<file.size).entries
  }

  private static func folder(of name: String) -> String? {
    name.firstIndex(of: "/").map { String(name[...$0]) }
  }

  /// The maximum number of records and of gaps; what follows is one gap.
  private static let countLimit = 1 << 20

  private mutating func search(_ cancellation: Cancellation) throws {
    var position = 0
    while position <= file.size - 4, try !isDirectory(at: position) {
      guard records.count + gaps.count < Self.countLimit else {
        gaps.append(position..<file.size)
        return
      }
      try cancellation.check()
      let header = try localHeader(at: position)
      if header == nil, listed[position] == nil {
        let next = try nextStructure(from: position + 1, cancellation)
        gaps.append(position..<next)
        isBroken = true
        position = next
        continue
      }
      if folder == nil, let header { folder = Self.folder(of: header.name) }
      position = try takeRecord(at: position, header, cancellation)
    }
  }

  private func isDirectory(at offset: Int) throws -> Bool {
    let signature = try int32(at: offset)
    return signature == LocalHeader.directorySignature
      || LocalHeader.endSignatures.contains(signature)
  }

  private func int32(at offset: Int) throws -> Int {
    LittleEndianReader(try bytes(at: offset, count: 4)).int32(0) ?? 0
  }

  /// The bytes at an offset; fewer at the end of the file.
  private func bytes(at offset: Int, count: Int) throws -> [UInt8] {
    guard offset >= 0, offset < file.size else { return [] }
    return try file.bytes(at: offset, count: min(count, file.size - offset))
  }

  /// The local header at an offset; nil if there is none that makes sense.
  private func localHeader(at offset: Int) throws -> LocalHeader? {
    let header = LittleEndianReader(try bytes(at: offset, count: 30))
    guard header.int32(0) == LocalHeader.signature, let flags: UInt16 = header.at(6),
      let method: UInt16 = header.at(8), let crc32: UInt32 = header.at(14),
      var compressed = header.int32(18), var size = header.int32(22),
      let nameCount = header.int16(26), let extraCount = header.int16(28), nameCount > 0,
      flags & 1 == 0, method == 0 || method == 8,
      nameCount + extraCount <= file.size - offset - 30
    else { return nil }
    let rest = try bytes(at: offset + 30, count: nameCount + extraCount)
    guard let name = String(validating: rest[..<nameCount], as: UTF8.self),
      ZipDirectory.problem(with: rest[..<nameCount]) == nil
    else { return nil }
    var nothing = 0
    guard
      (try? ZipDirectory.widen(
        &size, &compressed, &nothing, with: rest[nameCount...],
        orElse: { throw ZipError.unwritable("") })) != nil
    else { return nil }
    return LocalHeader(
      name: name, flags: flags, method: method, crc32: crc32, compressedByteCount: compressed,
      byteCount: size, headerByteCount: 30 + nameCount + extraCount)
  }

  /// Whether a signature at `offset` begins a header of a record of this archive, or its directory.
  private func isStructure(at offset: Int) throws -> Bool {
    let signature = try int32(at: offset)
    if signature == LocalHeader.signature {
      guard let header = try localHeader(at: offset) else { return false }
      return folder == nil || header.name.hasPrefix(folder ?? "")
    }
    if LocalHeader.endSignatures.contains(signature) { return offset >= file.size - 200 }
    guard signature == LocalHeader.directorySignature else { return false }
    let header = LittleEndianReader(try bytes(at: offset, count: 46))
    guard let count = header.int16(28), count > 0 else { return false }
    let name = try bytes(at: offset + 46, count: count)
    guard name.count == count, ZipDirectory.problem(with: name[...]) == nil else { return false }
    return String(validating: name, as: UTF8.self)?.hasPrefix(folder ?? "") == true
  }

  /// Whether the file ends in a header, of a record or in the directory, that begins at `offset`.
  private func isCutHeader(at offset: Int) throws -> Bool {
    // The offset of the name's length, and the fixed fields' size.
    for (signature, lengths, size) in [
      (LocalHeader.signature, 26, 30), (LocalHeader.directorySignature, 28, 46),
    ] {
      let rest = try bytes(at: offset, count: size)
      var start: [UInt8] = []
      start.append(littleEndian: UInt32(signature))
      guard !rest.isEmpty, zip(rest, start).allSatisfy(==) else { continue }
      let header = LittleEndianReader(rest)
      guard rest.count == size, let nameCount = header.int16(lengths) else { return true }
      if nameCount > file.size - offset - size { return true }
    }
    return false
  }

  /// The offset of the next header or of the directory; the file's size if there is none.
  private func nextStructure(from start: Int, _ cancellation: Cancellation) throws -> Int {
    let next = listedOffset(from: start) ?? file.size
    var scan = SignatureScan(file, in: start..<file.size)
    while let offset = try scan.next(cancellation) {
      if offset >= next { break }
      if try isStructure(at: offset) { return offset }
    }
    return next
  }

  /// The first offset in the directory that is at least `start`.
  private func listedOffset(from start: Int) -> Int? {
    var (low, high) = (0, listedOffsets.count)
    while low < high {
      let middle = (low + high) / 2
      if listedOffsets[middle] < start { low = middle + 1 } else { high = middle }
    }
    return low < listedOffsets.count ? listedOffsets[low] : nil
  }

  // MARK: - One record

  /// A size and a checksum that a record may have.
  private struct Claim {
    let byteCount: Int
    let plainByteCount: Int
    let crc32: UInt32
  }

  /// Adds the record whose header begins at `position`; returns the offset behind it.
  private mutating func takeRecord(
    at position: Int, _ header: LocalHeader?, _ cancellation: Cancellation
  ) throws -> Int {
    let entry = listed[position]
    let limit = listedOffset(from: position + 1) ?? file.size
    let method = header?.method ?? entry?.method ?? 0
    var claims: [Claim] = []
    if let entry {
      claims.append(
        Claim(
          byteCount: entry.compressedByteCount, plainByteCount: entry.byteCount,
          crc32: entry.crc32))
    }
    if let header, !header.hasDescriptor {
      claims.append(
        Claim(
          byteCount: header.compressedByteCount, plainByteCount: header.byteCount,
          crc32: header.crc32))
    }
    let starts = try starts(at: position, header, entry, limit)
    func record(
      _ start: Int, _ count: Int, _ plain: Int, _ crc32: UInt32?, _ state: FoundRecord.State
    ) -> FoundRecord {
      let other = header == nil || header?.name == entry?.name ? nil : entry?.name
      return FoundRecord(
        name: header?.name ?? entry?.name ?? "", otherName: other, method: method, offset: start,
        byteCount: count, plainByteCount: plain, crc32: crc32, state: state,
        isUncertain: isBroken && !hasDirectory)
    }
    func end(_ start: Int, _ count: Int) throws -> Int {
      let behind = start + count
      return try behind + descriptorByteCount(at: behind, of: count)
    }
    for claim in claims where method == 0 {
      for start in starts where claim.byteCount <= limit - start {
        let sum = try checksum(start, claim.byteCount, cancellation)
        guard sum == claim.crc32 else { continue }
        records.append(record(start, claim.byteCount, claim.byteCount, sum, .intact))
        return try end(start, claim.byteCount)
      }
    }
    let start = starts[0]
    var damaged: (claim: Claim, end: Int)?
    for claim in claims where claim.byteCount <= limit - start {
      let behind = try end(start, claim.byteCount)
      guard try behind == file.size || isStructure(at: behind) || isCutHeader(at: behind) else {
        continue
      }
      if method != 0 || claim.crc32 == 0 {
        let sum = method == 0 ? nil : claim.crc32
        records.append(record(start, claim.byteCount, claim.plainByteCount, sum, .unrecorded))
        return behind
      }
      damaged = damaged ?? (claim, behind)
    }
    let found = try measure(from: start, to: limit, method, cancellation)
    if damaged == nil, entry != nil, let claim = claims.first, claim.byteCount <= limit - start {
      damaged = (claim, limit)
    }
    if found.state != .intact, let (claim, end) = damaged {
      let sum = try checksum(start, claim.byteCount, cancellation) ?? 0
      records.append(
        record(
          start, claim.byteCount, claim.byteCount, claim.crc32,
          .mismatch(recorded: claim.crc32, found: sum)))
      return end
    }
    records.append(
      record(start, found.byteCount, found.plainByteCount, found.crc32, found.state))
    if found.state == .cut { isBroken = true }
    return found.end
  }

  /// The offsets at which a record's bytes may begin. There are several if the directory tells
  /// where the next header is: a damaged header may state wrong lengths of its own fields.
  private func starts(
    at position: Int, _ header: LocalHeader?, _ entry: ZipEntry?, _ limit: Int
  ) throws -> [Int] {
    var starts: [Int] = []
    if let header { starts.append(position + header.headerByteCount) }
    if let entry {
      let least = position + 30 + entry.name.utf8.count
      let aligned = (least + 63) / 64 * 64
      var others = [aligned, aligned + 64, least]
      for descriptor in [16, 24, 0, 12] {
        others.append(limit - descriptor - entry.compressedByteCount)
      }
      for start in others where start >= least && !starts.contains(start) { starts.append(start) }
    }
    return starts.filter { $0 <= file.size }.isEmpty ? [min(position + 30, file.size)] : starts
  }

  /// The CRC-32 of a byte range; nil if too many bytes have been read for such trials.
  private mutating func checksum(
    _ start: Int, _ count: Int, _ cancellation: Cancellation
  ) throws -> UInt32? {
    guard start >= 0, count >= 0, start <= file.size, count <= file.size - start, count <= budget
    else { return nil }
    budget -= count
    var sum: UInt32 = 0
    let region = FileRegion(file: file, offset: start, byteCount: count, name: "")
    try ByteSource.region(region).forEachBlock { block, _ in
      try cancellation.check()
      sum = Checksum.crc32(block, from: sum)
    }
    return sum
  }

  /// The size of the data descriptor at `offset`, behind a record of `count` bytes; 0 if there is
  /// none.
  private func descriptorByteCount(at offset: Int, of count: Int) throws -> Int {
    let descriptor = LittleEndianReader(try bytes(at: offset, count: 24))
    guard descriptor.int32(0) == LocalHeader.descriptorSignature else { return 0 }
    let isWide = descriptor.int64(8) == count && descriptor.int32(8) != descriptor.int32(12)
    return min(isWide ? 24 : 16, file.size - offset)
  }

  private struct Measured {
    let byteCount: Int
    var plainByteCount = 0
    let crc32: UInt32?
    let state: FoundRecord.State
    let end: Int
  }

  /// Searches for the end of a record that begins at `start`: a data descriptor that states the
  /// distance. The headers before it belong to an archive in the record.
  private mutating func measure(
    from start: Int, to limit: Int, _ method: UInt16, _ cancellation: Cancellation
  ) throws -> Measured {
    guard start <= limit else {
      return Measured(byteCount: 0, crc32: nil, state: .unknownEnd, end: limit)
    }
    var header: Int?
    var scan = SignatureScan(file, in: start..<file.size)
    while let offset = try scan.next(cancellation), offset < limit {
      if let header, offset - header > budget { break }
      let count = offset - start
      let descriptor = LittleEndianReader(try bytes(at: offset, count: 24))
      if descriptor.int32(0) == LocalHeader.descriptorSignature {
        let isNarrow = descriptor.int32(8) == count
        let isWide = !isNarrow && descriptor.int64(8) == count
        let plain = isNarrow ? descriptor.int32(12) : descriptor.int64(16)
        guard isNarrow || isWide, method != 0 || plain == count,
          let crc32: UInt32 = descriptor.at(4)
        else { continue }
        let end = offset + (isNarrow ? 16 : 24)
        let sum = scan.checksum
        if method == 0, crc32 == sum {
          return Measured(byteCount: count, crc32: sum, state: .intact, end: end)
        }
        guard try end == file.size || isStructure(at: end) else { continue }
        if method != 0 || crc32 == 0 {
          return Measured(
            byteCount: count, plainByteCount: plain ?? 0, crc32: method == 0 ? nil : crc32,
            state: .unrecorded, end: end)
        }
        return Measured(
          byteCount: count, crc32: crc32, state: .mismatch(recorded: crc32, found: sum), end: end)
      }
      if try header == nil && isStructure(at: offset) { header = offset }
    }
    if let header { budget -= min(budget, limit - header) }
    let isCut = limit == file.size && !hasDirectory
    return Measured(
      byteCount: limit - start, crc32: nil, state: isCut ? .cut : .unknownEnd,
      end: header ?? limit)
  }
}
