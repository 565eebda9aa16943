internal import CkptText
internal import CkptBytes
internal import CkptPlatform

/// A record of an archive, as described by its central directory.
package struct ZipEntry: Sendable, Hashable {
  /// The name, including its path in the archive.
  package let name: String
  /// The compression method: 0 for stored, 8 for deflated.
  package let method: UInt16
  /// The number of bytes in the archive.
  package let compressedByteCount: Int
  /// The number of bytes after decompression.
  package let byteCount: Int
  /// The CRC-32 field of the directory.
  package let crc32: UInt32
  let flags: UInt16
  let headerOffset: Int
  /// The offset of the next record's header, or of the directory after the last record.
  fileprivate(set) var limit: Int

  /// Whether the record is not compressed.
  package var isStored: Bool { method == 0 }
  /// The CRC-32; nil if none was recorded, which is indicated by 0 for a record that is not empty.
  package var recordedCRC32: UInt32? { crc32 == 0 && byteCount > 0 ? nil : crc32 }
}

/// Reads the central directory. It is the second of two readers whose results must agree.
struct ZipDirectory {
  private static let endSize = 22
  private static let locatorSize = 20
  private static let end64Size = 56
  private static let headerSize = 46

  private let file: File
  /// The byte range of the archive in the file; offsets in the archive are relative to its start.
  private let part: Range<Int>
  private(set) var entries: [ZipEntry] = []

  init(_ file: File, in part: Range<Int>) throws {
    self.file = file
    self.part = part
    let (count, start, size) = try locate()
    guard count <= size / Self.headerSize else {
      throw damaged("the directory is too small for its \(count) records", at: start)
    }
    let bytes = try self.bytes(at: start, count: size)
    entries.reserveCapacity(count)
    var rest = bytes[...]
    for _ in 0..<count {
      entries.append(try takeEntry(&rest, at: start + rest.startIndex, before: start))
    }
    try checkOverlaps()
  }

  private func bytes(at offset: Int, count: Int) throws -> [UInt8] {
    try file.bytes(at: part.lowerBound + offset, count: count)
  }

  private func damaged(_ problem: String, at offset: Int) -> ZipError {
    .damaged(file: file.path, problem, offset: part.lowerBound + offset)
  }

  /// Finds the directory by the end record. Data after the end record is tolerated, as in PyTorch.
  private func locate() throws -> (count: Int, start: Int, size: Int) {
    let tailSize = min(part.count, Self.endSize + 0xFFFF + Self.locatorSize)
    let tailStart = part.count - tailSize
    let tail = try self.bytes(at: tailStart, count: tailSize)
    var position = tailSize - Self.endSize
    while position >= 0 {
      let isEnd = tail[position] == 0x50 && tail[position + 1] == 0x4B && tail[position + 2] == 5
      if isEnd, tail[position + 3] == 6 { break }
      position -= 1
    }
    guard position >= 0 else { throw ZipError.notAnArchive(file: file.path) }
    let endOffset = tailStart + position
    let end = LittleEndianReader(tail[position...])
    guard let disk = end.int16(4), let directoryDisk = end.int16(6), let here = end.int16(8),
      var count = end.int16(10), var size = end.int32(12), var start = end.int32(16)
    else { throw ZipError.notAnArchive(file: file.path) }
    guard [0, 0xFFFF].contains(disk), [0, 0xFFFF].contains(directoryDisk), here == count else {
      throw damaged("archives in several parts are not supported", at: endOffset)
    }
    if let found = try locate64(before: endOffset) {
      let agrees =
        (count == 0xFFFF || count == found.count) && (size == 0xFFFF_FFFF || size == found.size)
        && (start == 0xFFFF_FFFF || start == found.start)
      guard agrees else {
        throw damaged("the archive's two end records contradict each other", at: endOffset)
      }
      (count, start, size) = found
    }
    guard start <= endOffset, size <= endOffset - start else {
      throw damaged("the directory lies outside the file", at: endOffset)
    }
    return (count, start, size)
  }

  private func locate64(before endOffset: Int) throws -> (count: Int, start: Int, size: Int)? {
    guard endOffset >= Self.locatorSize else { return nil }
    let bytes = try self.bytes(at: endOffset - Self.locatorSize, count: Self.locatorSize)
    let locator = LittleEndianReader(bytes)
    guard locator.int32(0) == 0x0706_4B50 else { return nil }
    guard let offset = locator.int64(8), offset <= endOffset - Self.locatorSize - Self.end64Size
    else { throw damaged("the 64-bit end record lies outside the file", at: endOffset) }
    let end = LittleEndianReader(try self.bytes(at: offset, count: Self.end64Size))
    guard end.int32(0) == 0x0606_4B50, end.int32(16) == 0, end.int32(20) == 0,
      let here = end.int64(24), let count = end.int64(32), here == count,
      let size = end.int64(40), let start = end.int64(48)
    else { throw damaged("the 64-bit end record is damaged", at: offset) }
    return (count, start, size)
  }

  private func takeEntry(
    _ rest: inout ArraySlice<UInt8>, at offset: Int, before directory: Int
  ) throws -> ZipEntry {
    let header = LittleEndianReader(rest)
    guard header.int32(0) == 0x0201_4B50, let flags: UInt16 = header.at(8),
      let method: UInt16 = header.at(10), let crc32: UInt32 = header.at(16),
      var compressed = header.int32(20), var size = header.int32(24),
      let nameLength = header.int16(28), let extraLength = header.int16(30),
      let commentLength = header.int16(32), var headerOffset = header.int32(42),
      rest.count >= Self.headerSize + nameLength + extraLength + commentLength
    else { throw damaged("the directory is damaged", at: offset) }
    let nameStart = rest.startIndex + Self.headerSize
    let nameBytes = rest[nameStart..<nameStart + nameLength]
    guard let name = String(validating: nameBytes, as: UTF8.self) else {
      throw damaged("a record's name is not UTF-8", at: offset)
    }
    let extra = rest[nameStart + nameLength..<nameStart + nameLength + extraLength]
    try Self.widen(&size, &compressed, &headerOffset, with: extra) {
      throw ZipError.badEntry(file: file.path, entry: name, "its 64-bit sizes are damaged")
    }
    rest = rest[(nameStart + nameLength + extraLength + commentLength)...]
    if let problem = Self.problem(with: nameBytes) {
      throw ZipError.badEntry(file: file.path, entry: name, problem)
    }
    guard headerOffset <= directory, compressed <= directory - headerOffset else {
      throw ZipError.badEntry(file: file.path, entry: name, "its bytes lie outside the file")
    }
    guard method != 0 || size == compressed else {
      throw ZipError.badEntry(file: file.path, entry: name, "its two sizes contradict each other")
    }
    return ZipEntry(
      name: name, method: method, compressedByteCount: compressed, byteCount: size, crc32: crc32,
      flags: flags, headerOffset: headerOffset, limit: directory)
  }

  /// Replaces sizes and offsets of 0xFFFFFFFF by the 64-bit values in the extra field.
  static func widen(
    _ size: inout Int, _ compressed: inout Int, _ offset: inout Int, with extra: ArraySlice<UInt8>,
    orElse fail: () throws -> Void
  ) throws {
    let full = 0xFFFF_FFFF
    guard size == full || compressed == full || offset == full else { return }
    let fields = LittleEndianReader(extra)
    var position = 0
    while let id = fields.int16(position), let length = fields.int16(position + 2) {
      defer { position += 4 + length }
      guard id == 1 else { continue }
      var at = position + 4
      func take(_ value: inout Int) throws {
        guard value == full else { return }
        guard at + 8 <= position + 4 + length, let wide = fields.int64(at) else {
          return try fail()
        }
        value = wide
        at += 8
      }
      try take(&size)
      try take(&compressed)
      try take(&offset)
      return
    }
    try fail()
  }

  /// What is wrong with a record's name; nil if nothing is.
  static func problem(with name: ArraySlice<UInt8>) -> String? {
    if name.isEmpty { return "its name is empty" }
    if name.contains(0) { return "its name holds a NUL" }
    if name.contains(UInt8(ascii: "\\")) { return "its name holds a backslash" }
    if name.first == UInt8(ascii: "/") { return "its name is an absolute path" }
    let parts = name.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    if parts.contains(where: { $0.elementsEqual("..".utf8) }) {
      return "its name leaves the archive's folder"
    }
    return nil
  }

  /// Checks that no two names differ only in the case of ASCII letters: PyTorch finds records
  /// without regard to it, so that another one might be read than here. NumPy's arrays are found by
  /// their exact names.
  private func checkCases() throws {
    var names = [[UInt8]: Int](minimumCapacity: entries.count)
    for (index, entry) in entries.enumerated() where !entry.name.hasSuffix(".npy") {
      let folded = entry.name.utf8.map { (0x41...0x5A).contains($0) ? $0 + 32 : $0 }
      guard let other = names.updateValue(index, forKey: folded) else { continue }
      throw ZipError.badEntry(
        file: file.path, entry: entry.name,
        "PyTorch takes it and \(Text.quoted(entries[other].name)) for one record")
    }
  }

  private mutating func checkOverlaps() throws {
    // Names are compared by bytes: two Unicode forms of the same character differ.
    var names = Set<ExactText>(minimumCapacity: entries.count)
    for entry in entries where !names.insert(ExactText(entry.name)).inserted {
      throw ZipError.badEntry(file: file.path, entry: entry.name, "two records have this name")
    }
    try checkCases()
    let sorted = entries.indices.sorted { entries[$0].headerOffset < entries[$1].headerOffset }
    for (index, next) in zip(sorted, sorted.dropFirst()) {
      let entry = entries[index]
      entries[index].limit = entries[next].headerOffset
      let end = entry.headerOffset + 30 + entry.name.utf8.count + entry.compressedByteCount
      if end > entries[index].limit {
        throw ZipError.badEntry(
          file: file.path, entry: entry.name, "it overlaps the record \(entries[next].name)")
      }
    }
  }
}
