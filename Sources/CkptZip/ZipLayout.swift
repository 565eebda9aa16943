internal import CkptPlatform
internal import CkptText
package import CkptBytes

/// A record that is to be written, stored.
package struct ZipRecord: Sendable {
  /// What it holds.
  package enum Content: Sendable {
    /// Bytes, wherever they are.
    case source(ByteSource)
    /// Bytes that depend on the checksums of the records before it, made when those are written.
    case summary(byteCount: Int, @Sendable (_ before: [Written]) -> [UInt8])
  }

  /// A record that has been written.
  package struct Written: Sendable {
    /// Its name, with the folders before it.
    package let name: String
    /// The CRC-32 of its bytes.
    package let crc32: UInt32
    /// How many bytes it holds.
    package let byteCount: Int
  }

  /// Its name, with the folders before it.
  package var name: String
  /// What it holds.
  package var content: Content
  /// The key of the state dict that errors name beside the record.
  package var key: String?

  /// A record called `name`.
  package init(name: String, content: Content, key: String? = nil) {
    self.name = name
    self.content = content
    self.key = key
  }

  /// How many bytes it holds.
  package var byteCount: Int {
    switch content {
    case .source(let source): source.byteCount
    case .summary(let byteCount, _): byteCount
    }
  }
}

/// How records' bytes are aligned: by an extra field of the header in front of them, filled up.
package struct ZipPadding: Sendable {
  /// A record's bytes begin at a multiple of so many bytes.
  package let alignment: Int
  /// The extra field's number (4.5 of the zip specification).
  package let fieldID: UInt16
  /// What the field is filled with.
  package let fill: UInt8

  /// Bytes that begin at multiples of `alignment`, at least 1, behind a field `fieldID` that is filled with `fill`.
  package init(alignment: Int, fieldID: UInt16, fill: UInt8) {
    self.alignment = max(alignment, 1)
    self.fieldID = fieldID
    self.fill = fill
  }
}

/// Where everything in an archive of stored records goes: headers that say nothing of sizes, descriptors behind the
/// bytes, 64-bit fields where numbers need them, a directory.
///
/// Sizes are all that it takes; the checksums come later.
package struct ZipLayout: Sendable {
  /// Where one record goes.
  package struct Slot: Sendable {
    let name: String
    /// How many bytes the record holds.
    package let byteCount: Int
    /// Where its header begins.
    package let headerOffset: Int
    /// Where its bytes begin.
    package let dataOffset: Int
    /// Where the next header begins.
    package let end: Int

    var isLarge: Bool { byteCount >= ZipLayout.limit }
    var isFar: Bool { headerOffset >= ZipLayout.limit }
    var flags: UInt16 { byteCount == 0 ? 0x0800 : 0x0808 }
  }

  static let limit = 0xFFFF_FFFF
  /// The records, in order.
  package let slots: [Slot]
  /// Where the directory begins.
  package let directoryOffset: Int
  private let padding: ZipPadding

  /// Lays out records of these names and sizes.
  ///
  /// - Throws: `ZipError.unwritable` if a name is too long or occurs twice, or the sum too large.
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

  /// No name may occur twice.
  private func checkNames() throws {
    var hashes = slots.map { slot in
      // FNV-1a; a collision only costs the exact comparison.
      slot.name.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
    }
    hashes.sort()
    guard zip(hashes, hashes.dropFirst()).contains(where: { $0 == $1 }) else { return }
    var names = Set<ExactText>()
    for slot in slots where !names.insert(ExactText(slot.name)).inserted {
      throw ZipError.unwritable("a record's name occurs twice (\"\(slot.name)\")")
    }
  }

  /// How many bytes the archive has in all.
  package var byteCount: Int {
    directoryOffset + directoryByteCount
  }

  private var directoryByteCount: Int {
    slots.reduce(98) { sum, slot in
      let wide = (slot.isLarge ? 16 : 0) + (slot.isFar ? 8 : 0)
      return sum + 46 + slot.name.utf8.count + (wide == 0 ? 0 : wide + 4)
    }
  }

  /// What stands before a record's bytes: its header and the padding.
  func header(_ slot: Slot) -> [UInt8] {
    var header: [UInt8] = [0x50, 0x4B, 3, 4, 0, 0]
    header.append(littleEndian: slot.flags)
    // Method, time, date, checksum and sizes: the descriptor and the directory have them.
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

  /// What stands behind a record's bytes: its checksum and sizes.
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

  /// The directory and the end records.
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
