internal import CkptPlatform
internal import CkptText
package import CkptBytes

/// A record to be written, without compression.
package struct ZipRecord: Sendable {
  /// The content of the record.
  package enum Content: Sendable {
    /// The bytes of a source.
    case source(ByteSource)
    /// Bytes that depend on the checksums of the preceding records; computed after those are
    /// written.
    case summary(byteCount: Int, @Sendable (_ before: [Written]) -> [UInt8])
  }

  /// A record that has been written.
  package struct Written: Sendable {
    /// The name, including its path in the archive.
    package let name: String
    /// The CRC-32 of its bytes.
    package let crc32: UInt32
    /// The number of bytes of the content.
    package let byteCount: Int
  }

  /// The name, including its path in the archive.
  package var name: String
  /// The content of the record.
  package var content: Content
  /// The state dict key to be named in errors about the record.
  package var key: String?

  /// Creates a record.
  package init(name: String, content: Content, key: String? = nil) {
    self.name = name
    self.content = content
    self.key = key
  }

  /// The number of bytes of the content.
  package var byteCount: Int {
    switch content {
    case .source(let source): source.byteCount
    case .summary(let byteCount, _): byteCount
    }
  }
}

/// The alignment of the records' contents, by an extra field of suitable length in each header.
package struct ZipPadding: Sendable {
  /// The alignment in bytes: contents begin at multiples of it.
  package let alignment: Int
  /// The ID of the extra field (section 4.5 of the zip specification).
  package let fieldID: UInt16
  /// The byte that the field is filled with.
  package let fill: UInt8

  /// Creates a padding; an alignment below 1 is treated as 1.
  package init(alignment: Int, fieldID: UInt16, fill: UInt8) {
    self.alignment = max(alignment, 1)
    self.fieldID = fieldID
    self.fill = fill
  }
}

/// The positions of all parts of an archive of uncompressed records. Sizes and checksums are stored
/// in data descriptors after the contents and in the directory; 64-bit fields are used where 32
/// bits do not suffice.
///
/// The layout needs only the names and sizes; the checksums are supplied later.
package struct ZipLayout: Sendable {
  /// The position of one record.
  package struct Slot: Sendable {
    let name: String
    /// The number of bytes of the content.
    package let byteCount: Int
    /// The offset of the header.
    package let headerOffset: Int
    /// The offset of the content.
    package let dataOffset: Int
    /// The offset of the next header.
    package let end: Int

    var isLarge: Bool { byteCount >= ZipLayout.limit }
    var isFar: Bool { headerOffset >= ZipLayout.limit }
    var flags: UInt16 { byteCount == 0 ? 0x0800 : 0x0808 }
  }

  static let limit = 0xFFFF_FFFF
  /// The records, in order.
  package let slots: [Slot]
  /// The offset of the directory.
  package let directoryOffset: Int
  private let padding: ZipPadding

  /// Computes the layout of records with the given names and sizes.
  ///
  /// - Throws: `ZipError.unwritable` if a name is too long or occurs twice, or the total is too
  ///   large.
  package init(
    _ records: some Sequence<(name: String, byteCount: Int)>, padding: ZipPadding
  ) throws {
    WorkCounters.add(.layout)
    var slots: [Slot] = []
    var cursor = 0
    for (name, byteCount) in records {
      let nameByteCount = name.utf8.count
      guard nameByteCount <= 0xFF00 else {
        throw ZipError.unwritable("a record's name is too long (\"\(name)\")")
      }
      guard byteCount >= 0, cursor < 1 << 61, byteCount < 1 << 61 else {
        throw ZipError.unwritable("the records are too large for one archive (\"\(name)\")")
      }
      let (isLarge, isFar) = (byteCount >= Self.limit, cursor >= Self.limit)
      let wide = isLarge || isFar ? 4 + (isLarge ? 16 : 0) + (isFar ? 8 : 0) : 0
      let start = cursor + 30 + nameByteCount + wide + 4
      let data = (start + padding.alignment - 1) / padding.alignment * padding.alignment
      let descriptor = byteCount == 0 ? 0 : isLarge || isFar ? 24 : 16
      slots.append(
        Slot(
          name: name, byteCount: byteCount, headerOffset: cursor, dataOffset: data,
          end: data + byteCount + descriptor))
      cursor = data + byteCount + descriptor
    }
    self.slots = slots
    self.padding = padding
    directoryOffset = cursor
    try checkNames()
  }

  /// Checks that no name occurs twice.
  ///
  /// - Throws: `ZipError.unwritable`.
  private func checkNames() throws {
    var hashes = slots.map { slot in
      // FNV-1a. After a collision, the names are compared exactly.
      slot.name.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
    }
    hashes.sort()
    guard zip(hashes, hashes.dropFirst()).contains(where: { $0 == $1 }) else { return }
    var names = Set<ExactText>()
    for slot in slots where !names.insert(ExactText(slot.name)).inserted {
      throw ZipError.unwritable("a record's name occurs twice (\"\(slot.name)\")")
    }
  }

  /// The size of the archive in bytes.
  package var byteCount: Int {
    directoryOffset + directoryByteCount
  }

  private var directoryByteCount: Int {
    slots.reduce(98) { sum, slot in
      let wide = (slot.isLarge ? 16 : 0) + (slot.isFar ? 8 : 0)
      return sum + 46 + slot.name.utf8.count + (wide == 0 ? 0 : wide + 4)
    }
  }

  /// The bytes before a record's content: the header, including the padding.
  func header(_ slot: Slot) -> [UInt8] {
    var header: [UInt8] = [0x50, 0x4B, 3, 4, 0, 0]
    header.append(littleEndian: slot.flags)
    // Method, time, date, checksum, and sizes are 0: the descriptor and the directory have them.
    header += [UInt8](repeating: 0, count: 18)
    var wide: [UInt8] = []
    if slot.isLarge {
      wide.append(littleEndian: UInt64(slot.byteCount))
      wide.append(littleEndian: UInt64(0))
    }
    if slot.isFar { wide.append(littleEndian: UInt64(slot.headerOffset)) }
    let size = slot.dataOffset - slot.headerOffset
    header.append(littleEndian: UInt16(slot.name.utf8.count))
    header.append(littleEndian: UInt16(size - 30 - slot.name.utf8.count))
    header += slot.name.utf8
    if !wide.isEmpty {
      header.append(littleEndian: UInt16(1))
      header.append(littleEndian: UInt16(wide.count))
      header += wide
    }
    let filled = size - header.count - 4
    header.append(littleEndian: padding.fieldID)
    header.append(littleEndian: UInt16(filled))
    header += [UInt8](repeating: padding.fill, count: filled)
    return header
  }

  /// The bytes after a record's content: the data descriptor with its checksum and sizes.
  func descriptor(_ slot: Slot, crc32: UInt32) -> [UInt8] {
    guard slot.byteCount > 0 else { return [] }
    var bytes: [UInt8] = [0x50, 0x4B, 7, 8]
    bytes.append(littleEndian: crc32)
    for _ in 0..<2 {
      if slot.isLarge || slot.isFar {
        bytes.append(littleEndian: UInt64(slot.byteCount))
      } else {
        bytes.append(littleEndian: UInt32(slot.byteCount))
      }
    }
    return bytes
  }

  /// The central directory and the end records.
  func directory(crc32 sums: [UInt32]) -> [UInt8] {
    func short(_ value: Int) -> UInt32 { UInt32(clamping: value) }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(directoryByteCount)
    for (slot, sum) in zip(slots, sums) {
      var wide: [UInt8] = []
      if slot.isLarge {
        wide.append(littleEndian: UInt64(slot.byteCount))
        wide.append(littleEndian: UInt64(slot.byteCount))
      }
      if slot.isFar { wide.append(littleEndian: UInt64(slot.headerOffset)) }
      bytes += [0x50, 0x4B, 1, 2, 0, 0, 0, 0]
      bytes.append(littleEndian: slot.flags)
      bytes += [0, 0, 0, 0, 0, 0]
      bytes.append(littleEndian: sum)
      bytes.append(littleEndian: short(slot.byteCount))
      bytes.append(littleEndian: short(slot.byteCount))
      bytes.append(littleEndian: UInt16(slot.name.utf8.count))
      bytes.append(littleEndian: UInt16(wide.isEmpty ? 0 : wide.count + 4))
      bytes += [UInt8](repeating: 0, count: 10)
      bytes.append(littleEndian: short(slot.headerOffset))
      bytes += slot.name.utf8
      guard !wide.isEmpty else { continue }
      bytes.append(littleEndian: UInt16(1))
      bytes.append(littleEndian: UInt16(wide.count))
      bytes += wide
    }
    let (size, count) = (bytes.count, slots.count)
    bytes += [0x50, 0x4B, 6, 6]
    bytes.append(littleEndian: UInt64(44))
    bytes += [0x1E, 3, 0x2D, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    for value in [count, count, size, directoryOffset] {
      bytes.append(littleEndian: UInt64(value))
    }
    bytes += [0x50, 0x4B, 6, 7, 0, 0, 0, 0]
    bytes.append(littleEndian: UInt64(directoryOffset + size))
    bytes += [1, 0, 0, 0, 0x50, 0x4B, 5, 6, 0, 0, 0, 0]
    for _ in 0..<2 { bytes.append(littleEndian: UInt16(clamping: count)) }
    bytes.append(littleEndian: short(size))
    bytes.append(littleEndian: short(directoryOffset))
    bytes += [0, 0]
    return bytes
  }
}
