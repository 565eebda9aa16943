internal import CkptText
package import CkptPlatform
package import CkptBytes

/// An open archive: its records and the positions of their bytes.
package final class ZipReader: Sendable {
  /// The file.
  package let file: File
  /// The records, in the directory's order.
  package let entries: [ZipEntry]
  private let indices: [ExactText: Int]
  /// libzip's reader, which inflates; nil if no record is compressed, to save the memory of its
  /// directory.
  private let library: LibZip?
  /// The file offset of the archive.
  private let start: Int

  /// Opens the archive in `file`, or in a part of it.
  ///
  /// - Throws: `ZipError` if this is not an archive, it is damaged, libzip reads it differently, or
  ///   a name occurs twice or is a path outside the archive's folder; `FileError`.
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
  ///
  /// - Throws: as ``init(_:in:)``.
  package convenience init(path: String) throws { try self.init(File(readingFrom: path)) }

  /// The record with the given name; nil if there is none.
  package func entry(named name: String) -> ZipEntry? {
    indices[ExactText(name)].map { entries[$0] }
  }

  /// The file offset of a record's bytes, read from its header, which must match the directory.
  ///
  /// - Throws: `ZipError` if the header is invalid or does not match, or the record is encrypted;
  ///   `FileError`.
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
    // Encryption, and data that are a patch of another file's.
    guard (flags | entry.flags) & 0x41 == 0 else { throw bad(entry, "it is encrypted") }
    guard (flags | entry.flags) & 0x20 == 0 else { throw bad(entry, "it is a patch") }
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
    // With flag bit 3, the checksum and the sizes are stored after the data and in the directory
    // only.
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

  /// The content of a record, as a source that is read lazily.
  ///
  /// - Parameter comparing: whether the checksum of a stored record is compared before its bytes
  ///   are used.
  /// - Throws: `ZipError`, also for other compression methods; `FileError`.
  package func source(of entry: ZipEntry, comparing: Bool = true) throws -> ByteSource {
    let start = try dataOffset(of: entry)
    switch entry.method {
    case 0:
      return .region(
        FileRegion(
          file: file, offset: start, byteCount: entry.byteCount,
          recordedCRC32: comparing ? entry.recordedCRC32 : nil, name: shown(entry)))
    case 8:
      // Deflate compresses at most 1032 bytes into one. A larger claimed size would allocate too
      // much memory.
      guard entry.byteCount / 1100 <= entry.compressedByteCount else {
        throw bad(entry, "it claims more bytes than its compressed ones can hold")
      }
      guard let index = indices[ExactText(entry.name)], let library else {
        throw missing(entry.name)
      }
      return .computed(
        InflatedBytes(
          archive: library, index: index, name: shown(entry), byteCount: entry.byteCount))
    default:
      throw bad(entry, "compression method \(entry.method) is not supported")
    }
  }

  /// Reads the content of a small record and compares its checksum.
  ///
  /// - Parameter limit: the maximum number of bytes.
  /// - Throws: `ZipError`, also for larger records; `ChecksumError`; `FileError`.
  package func read(_ entry: ZipEntry, limit: Int) throws -> [UInt8] {
    guard entry.byteCount <= limit else {
      throw bad(entry, "it has \(entry.byteCount) bytes; at most \(limit) are supported")
    }
    return try source(of: entry).allBytes()
  }

  /// A record's name for error messages, with the archive's position in a file of several.
  package func shown(_ entry: ZipEntry) -> String {
    start == 0 ? entry.name : "\(entry.name) of the archive at byte \(start)"
  }

  /// Reads the content of a small record by name.
  ///
  /// - Throws: `ZipError.missingEntry` if there is none; what `read(_:limit:)` of an entry throws.
  package func read(named name: String, limit: Int) throws -> [UInt8] {
    guard let entry = entry(named: name) else { throw missing(name) }
    return try read(entry, limit: limit)
  }

  private func bad(_ entry: ZipEntry, _ problem: String) -> ZipError {
    .badEntry(file: file.path, entry: shown(entry), problem)
  }

  private func missing(_ name: String) -> ZipError {
    .missingEntry(file: file.path, entry: name)
  }
}
