internal import CkptBytes

/// The places in a zip archive where its directory may begin, according to each of its readers.
///
/// miniz, which PyTorch uses, counts offsets from the start of the file, and believes a 64-bit end
/// record wherever the locator points. Python's `zipfile` looks for that record directly before the
/// locator, and takes the directory to end where the end records begin, so that other bytes may
/// stand before the archive.
struct ZipEnds {
  /// A directory.
  struct Directory: Hashable {
    /// The offset of its first entry.
    let start: Int
    /// The offset after the bytes that the end record states.
    let end: Int
    /// The offset from which the entries count.
    let base: Int
    /// The number of entries that the end record states.
    let count: Int
  }

  /// An end record.
  struct End {
    /// The offset of the record.
    let offset: Int
    /// The offset after its comment.
    let limit: Int
    /// The directories that readers take it to mean, without repetitions.
    let directories: [Directory]
    /// What is odd about it.
    let oddities: [String]
  }

  /// The end records, the last one first.
  private(set) var ends: [End] = []
  /// Whether there are more than are listed.
  private(set) var hasMore = false

  private static let endSize = 22
  private static let locatorSize = 20
  private static let end64Size = 56
  /// The maximum number of end records that are examined; each may mean several directories.
  private static let limit = 8

  private let source: ByteSource

  /// Finds the end records in the last 68 kB of `source`, where readers look for them (miniz in
  /// blocks, beyond the length of a comment), down to the beginning of the archive that the last one ends.
  ///
  /// - Throws: what reading throws.
  init(_ source: ByteSource) throws {
    self.source = source
    // The last kB is enough for a small archive behind others.
    for size in [1024, Self.endSize + 0xFFFF + 4096] {
      (ends, hasMore) = ([], false)
      let tailStart = max(0, source.byteCount - size)
      try find(from: tailStart)
      let base = ends.first?.directories.map(\.base).max()
      if tailStart == 0 || base ?? 0 >= tailStart { return }
    }
  }

  private mutating func find(from tailStart: Int) throws {
    guard source.byteCount - tailStart >= Self.endSize else { return }
    let tail = try source.bytes(in: tailStart..<source.byteCount)
    var position = tail.count - Self.endSize
    var lowest = 0
    while position >= lowest {
      defer { position -= 1 }
      guard tail[position] == 0x50, tail[position + 1] == 0x4B, tail[position + 2] == 5,
        tail[position + 3] == 6
      else { continue }
      guard ends.count < Self.limit else {
        hasMore = true
        return
      }
      let end = try end(LittleEndianReader(tail[position...]), at: tailStart + position)
      // Text of another record may look like an end.
      guard !end.directories.isEmpty || ends.isEmpty else { continue }
      ends.append(end)
      if ends.count == 1, let base = end.directories.map(\.base).max() {
        lowest = max(0, base - tailStart)
      }
    }
  }

  private func end(_ record: LittleEndianReader, at offset: Int) throws -> End {
    let (count, size) = (record.int16(10) ?? 0, record.int32(12) ?? 0)
    let start = record.int32(16) ?? 0
    let comment = record.int16(20) ?? 0
    var oddities: [String] = []
    if offset + Self.endSize + comment > source.byteCount {
      oddities.append("the comment of its end record is cut off")
    }
    var found: [Directory] = []
    func add(_ start: Int, before end: Int, _ base: Int, _ count: Int, _ size: Int) throws {
      // Readers read as many bytes as are stated.
      let directory = Directory(
        start: start, end: start + min(size, max(0, end - start)), base: base, count: count)
      guard start >= 0, base >= 0, start <= end, !found.contains(where: { $0.start == start })
      else { return }
      if try isDirectory(at: start, before: end, count: count) { found.append(directory) }
    }
    let wide = try wideEnds(before: offset, &oddities)
    for record in wide {
      let agrees =
        (count == 0xFFFF || count == record.count)
        && (size == 0xFFFF_FFFF || size == record.size)
        && (start == 0xFFFF_FFFF || start == record.start)
      if !agrees { oddities.append("its two end records contradict each other") }
      try add(record.start, before: record.offset, 0, record.count, record.size)
      let concatenated = record.offset - record.size
      try add(
        concatenated, before: record.offset, concatenated - record.start, record.count,
        record.size)
    }
    let limit = wide.map(\.offset).min() ?? offset
    if wide.isEmpty || !oddities.isEmpty || found.isEmpty {
      try add(start, before: limit, 0, count, size)
      try add(limit - size, before: limit, limit - size - start, count, size)
    }
    return End(
      offset: offset, limit: min(offset + Self.endSize + comment, source.byteCount),
      directories: found, oddities: oddities)
  }

  private struct WideEnd {
    let offset, count, size, start: Int
  }

  /// The 64-bit end records that a locator before `offset` means: where it points, and directly
  /// before it.
  private func wideEnds(before offset: Int, _ oddities: inout [String]) throws -> [WideEnd] {
    let locatorOffset = offset - Self.locatorSize
    guard locatorOffset >= 0 else { return [] }
    let locator = LittleEndianReader(
      try source.bytes(in: locatorOffset..<locatorOffset + Self.locatorSize))
    guard locator.int32(0) == 0x0706_4B50 else { return [] }
    let pointed = locator.int64(8) ?? -1
    let direct = locatorOffset - Self.end64Size
    var found: [WideEnd] = []
    for place in Set([pointed, direct]).sorted()
    where place >= 0 && place <= locatorOffset - Self.end64Size {
      let record = LittleEndianReader(try source.bytes(in: place..<place + Self.end64Size))
      guard record.int32(0) == 0x0606_4B50, let count = record.int64(32),
        let size = record.int64(40), let start = record.int64(48), size <= place
      else { continue }
      found.append(WideEnd(offset: place, count: count, size: size, start: start))
    }
    // In an archive behind other bytes, only the record before the locator is there.
    if found.isEmpty { oddities.append("its 64-bit locator points to no end record") }
    if found.count > 1 { oddities.append("it has two 64-bit end records") }
    return found
  }

  private func isDirectory(at start: Int, before end: Int, count: Int) throws -> Bool {
    if count == 0 { return start == end }
    guard start <= end - 46 else { return false }
    return try source.bytes(in: start..<start + 4) == [0x50, 0x4B, 1, 2]
  }
}
