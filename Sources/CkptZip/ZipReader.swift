internal import CkptText
package import CkptPlatform
package import CkptBytes

/// An open archive: which records it has and where their bytes lie.
package final class ZipReader: Sendable {
  /// The file that it reads.
  package let file: File
  /// The records, in the directory's order.
  package let entries: [ZipEntry]
  private let indices: [ExactText: Int]
  /// Inflates; nil if no record is compressed, since libzip's own directory takes memory.
  private let library: LibZip?
  /// Where in the file the archive begins.
  private let start: Int

  /// Opens the archive in `file`, or in a part of it.
  ///
  /// - Throws: `ZipError` for what is no archive, damaged, or seen differently by libzip and by the
  ///   reader here; for names that occur twice or leave the archive's folder.
  package init(_ file: File, in part: Range<Int>? = nil) throws {
    self.file = file
    let whole = 0..<file.size
    let part = part?.clamped(to: whole) ?? whole
    start = part.lowerBound
    let directory = try ZipDirectory(file, in: part)
    entries = directory.entries
    let library = try LibZip(file, in: part == whole ? nil : part)
    var indices = [ExactText: Int](minimumCapacity: entries.count)
    guard library.count == entries.count else {
      throw ZipError.readersDisagree(
        file: file.path, entry: "", "how many records there are")
    }
    for (index, entry) in entries.enumerated() {
      indices[ExactText(entry.name)] = index
      guard let other = library.entry(at: index, ifNamed: entry.name),
        other.byteCount == UInt64(entry.byteCount), other.crc32 == entry.crc32,
        other.compressedByteCount == UInt64(entry.compressedByteCount),
        other.method == entry.method
      else {
        throw ZipError.readersDisagree(
          file: file.path, entry: entry.name, "its name, size, method or CRC")
      }
    }
    self.indices = indices
    self.library = entries.allSatisfy(\.isStored) ? nil : library
  }

  /// Opens the archive at `path`.
  package convenience init(path: String) throws { try self.init(File(readingFrom: path)) }

  /// The record of that name, if there is one.
  package func entry(named name: String) -> ZipEntry? {
    indices[ExactText(name)].map { entries[$0] }
  }

  /// Where in the file a record's bytes begin, from its own header, which must match the directory.
  package func dataOffset(of entry: ZipEntry) throws -> Int {
    let nameCount = entry.name.utf8.count
    let header = LittleEndianReader(
      try file.bytes(
        at: self.start + entry.headerOffset,
        count: min(30 + nameCount, entry.limit - entry.headerOffset)))
    guard header.int32(0) == 0x0403_4B50, let flags: UInt16 = header.at(6),
      let method: UInt16 = header.at(8), let crc32: UInt32 = header.at(14),
      let nameLength = header.int16(26), let extraLength = header.int16(28)
    else { throw bad(entry, "its header is damaged") }
    guard flags & 1 == 0, entry.flags & 1 == 0 else { throw bad(entry, "it is encrypted") }
    let start = entry.headerOffset + 30 + nameLength + extraLength
    guard start <= entry.limit, entry.compressedByteCount <= entry.limit - start else {
      throw bad(entry, "it overlaps the next record")
    }
    guard nameLength == nameCount, header.bytes(from: 30).elementsEqual(entry.name.utf8),
      method == entry.method
    else {
      throw ZipError.readersDisagree(
        file: file.path, entry: entry.name, "its name or method: header and directory differ")
    }
    // With bit 3 the sums and sizes stand behind the data; the directory has them.
    if flags & 8 == 0 {
      let sizes = [(18, entry.compressedByteCount), (22, entry.byteCount)]
      let agree = sizes.allSatisfy { position, size in
        header.int32(position) == size || header.int32(position) == 0xFFFF_FFFF
      }
      guard agree, crc32 == entry.crc32 else {
        throw ZipError.readersDisagree(
          file: file.path, entry: entry.name, "its size or CRC: header and directory differ")
      }
    }
    return self.start + start
  }

  /// How a record's bytes can be had.
  package func source(of entry: ZipEntry) throws -> ByteSource {
    let start = try dataOffset(of: entry)
    switch entry.method {
    case 0:
      return .region(
        FileRegion(
          file: file, offset: start, byteCount: entry.byteCount,
          recordedCRC32: entry.recordedCRC32, name: entry.name))
    case 8:
      // Deflate makes at most 1032 bytes of one; whoever claims more wants our memory.
      guard entry.byteCount / 1100 <= entry.compressedByteCount else {
        throw bad(entry, "it claims more bytes than its compressed ones can hold")
      }
      guard let index = indices[ExactText(entry.name)], let library else {
        throw missing(entry.name)
      }
      return .computed(
        InflatedBytes(
          archive: library, index: index, name: entry.name, byteCount: entry.byteCount))
    default:
      throw bad(entry, "compression method \(entry.method) is not supported")
    }
  }

  /// The bytes of a small record, its checksum compared.
  ///
  /// - Parameter limit: how many bytes are too many to be held in memory.
  package func read(_ entry: ZipEntry, limit: Int) throws -> [UInt8] {
    guard entry.byteCount <= limit else {
      throw bad(entry, "it has \(entry.byteCount) bytes; at most \(limit) are supported")
    }
    let source = try source(of: entry)
    guard case .region(let region) = source else { return try source.allBytes() }
    let bytes = try source.allBytes()
    let found = Checksum.crc32(bytes)
    if let recorded = region.recordedCRC32, recorded != found {
      throw ChecksumError(file: file.path, record: entry.name, recorded: recorded, found: found)
    }
    return bytes
  }

  /// The bytes of a small record that must be there.
  package func read(named name: String, limit: Int) throws -> [UInt8] {
    guard let entry = entry(named: name) else { throw missing(name) }
    return try read(entry, limit: limit)
  }

  private func bad(_ entry: ZipEntry, _ problem: String) -> ZipError {
    .badEntry(file: file.path, entry: entry.name, problem)
  }

  private func missing(_ name: String) -> ZipError {
    .missingEntry(file: file.path, entry: name)
  }
}
