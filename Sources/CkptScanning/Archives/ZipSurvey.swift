internal import CkptBytes
internal import CkptText

/// All records of a zip archive that any reader would find, and what readers disagree on.
///
/// Other commands refuse an archive that is not clear; a scanner must look at what is in it.
struct ZipSurvey {
  /// A record.
  struct Record {
    /// The name in the directory.
    let name: String
    /// The name in the record's own header; nil if there is no header.
    var localName: String?
    /// The compression methods that the directory and the header state, without repetitions.
    var methods: [Int]
    /// The range of the bytes in the source; nil if they are not there.
    var range: Range<Int>?
    /// The number of bytes after decompression, as stated by the directory.
    let byteCount: Int
    let crc32: UInt32
    /// What is odd about it.
    var oddities: [String] = []
  }

  /// The records, in the order of the directories.
  private(set) var records: [Record] = []
  /// What is odd about the archive.
  private(set) var oddities: [String] = []
  /// The offset at which the archive begins; other bytes may stand before.
  private(set) var base = 0
  /// The offset after the archive.
  private(set) var end = 0
  /// The number of bytes of the directories that were read.
  private(set) var directoryByteCount = 0

  private let source: ByteSource
  private static let headerSize = 46
  private static let localSize = 30
  private static let directoryLimit = 256 << 20

  /// Finds the archive at the end of `source`; nil if there is none.
  ///
  /// - Throws: what reading throws.
  init?(_ source: ByteSource) throws {
    let ends = try ZipEnds(source)
    guard let last = ends.ends.first, !last.directories.isEmpty else { return nil }
    self.source = source
    end = last.limit
    base = last.directories.map(\.base).max() ?? 0
    oddities = last.oddities
    if last.directories.count > 1 { oddities.append("readers find different directories in it") }
    var seen: Set<Int> = []
    for directory in last.directories where seen.insert(directory.start).inserted {
      try read(directory)
    }
    // An archive that is a record, or stands before this one, has an end record, too.
    for other in ends.ends.dropFirst() where other.offset >= base && !isInside(other.offset) {
      oddities.append("it has several end records")
      for directory in other.directories where seen.insert(directory.start).inserted {
        try read(directory)
      }
    }
    if ends.hasMore { oddities.append("it has many end records; the first ones were not read") }
    if end < source.byteCount {
      oddities.append("\(source.byteCount - end) bytes stand behind it")
    }
    compareNames()
    oddities = oddities.enumerated().filter { oddities.firstIndex(of: $0.element) == $0.offset }
      .map(\.element)
  }

  private func isInside(_ offset: Int) -> Bool {
    records.contains { $0.range?.contains(offset) == true }
  }

  private mutating func read(_ directory: ZipEnds.Directory) throws {
    guard directory.end - directory.start <= Self.directoryLimit else {
      oddities.append("its directory is larger than 256 MB, and was not read")
      return
    }
    let bytes = try source.bytes(in: directory.start..<directory.end)
    directoryByteCount += bytes.count
    var (position, count) = (0, 0)
    while position <= bytes.count - Self.headerSize, records.count < ScanBudget.partLimit {
      let header = LittleEndianReader(bytes[position...])
      guard header.int32(0) == 0x0201_4B50, let flags = header.int16(8),
        let method = header.int16(10), let crc32: UInt32 = header.at(16),
        var compressed = header.int32(20), var size = header.int32(24),
        let nameLength = header.int16(28), let extraLength = header.int16(30),
        let commentLength = header.int16(32), var offset = header.int32(42)
      else { break }
      let nameStart = position + Self.headerSize
      let next = nameStart + nameLength + extraLength + commentLength
      guard next <= bytes.count else { break }
      let name = bytes[nameStart..<nameStart + nameLength]
      let extra = bytes[nameStart + nameLength..<nameStart + nameLength + extraLength]
      Self.widen(&size, &compressed, &offset, with: extra)
      var record = Record(
        name: String(decoding: name, as: UTF8.self), methods: [method], byteCount: size,
        crc32: crc32)
      try locate(&record, name, flags, compressed, at: directory.base, offset)
      records.append(record)
      position = next
      count += 1
    }
    if count != directory.count {
      oddities.append("its directory states \(directory.count) records and lists \(count)")
    }
  }

  /// Reads the header of a record, which says where its bytes begin.
  private func locate(
    _ record: inout Record, _ name: ArraySlice<UInt8>, _ flags: Int, _ compressed: Int,
    at base: Int, _ offset: Int
  ) throws {
    let (start, overflow) = base.addingReportingOverflow(offset)
    guard !overflow, start >= 0, start <= source.byteCount - Self.localSize else {
      record.oddities.append("its header lies outside the file")
      return
    }
    let local = LittleEndianReader(try source.bytes(in: start..<start + Self.localSize))
    guard local.int32(0) == 0x0403_4B50, let localFlags = local.int16(6),
      let method = local.int16(8), let nameLength = local.int16(26),
      let extraLength = local.int16(28)
    else {
      record.oddities.append("it has no header")
      return
    }
    let nameStart = start + Self.localSize
    guard nameLength + extraLength <= source.byteCount - nameStart,
      compressed <= source.byteCount - nameStart - nameLength - extraLength
    else {
      record.oddities.append("its bytes lie outside the file")
      return
    }
    let localName = try source.bytes(in: nameStart..<nameStart + nameLength)
    record.localName = String(decoding: localName, as: UTF8.self)
    if !localName.elementsEqual(name) {
      record.oddities.append(
        "its header calls it \(Text.quoted(record.localName ?? "")), unlike the directory")
    }
    if method != record.methods[0] {
      record.oddities.append("its header and the directory state different compression methods")
      record.methods.append(method)
    }
    for (bit, what) in [(1, "encrypted"), (0x20, "a patch"), (0x40, "strongly encrypted")]
    where (flags | localFlags) & bit != 0 {
      record.oddities.append("a flag says that it is \(what), which some readers ignore")
    }
    let dataStart = nameStart + nameLength + extraLength
    record.range = dataStart..<dataStart + compressed
  }

  /// Replaces sizes and offsets of 0xFFFFFFFF by the 64-bit values in the extra field.
  private static func widen(
    _ size: inout Int, _ compressed: inout Int, _ offset: inout Int, with extra: ArraySlice<UInt8>
  ) {
    let full = 0xFFFF_FFFF
    let fields = LittleEndianReader(extra)
    var position = 0
    while let id = fields.int16(position), let length = fields.int16(position + 2) {
      defer { position += 4 + length }
      guard id == 1 else { continue }
      var at = position + 4
      func take(_ value: inout Int) {
        guard value == full, at + 8 <= position + 4 + length else { return }
        value = fields.int64(at) ?? .max
        at += 8
      }
      take(&size)
      take(&compressed)
      take(&offset)
      return
    }
  }

  /// PyTorch finds records by their names without regard to the case of ASCII letters.
  private mutating func compareNames() {
    var names: [String: Int] = [:]
    for (index, record) in records.enumerated() {
      guard let other = names.updateValue(index, forKey: record.name.foldingASCII) else { continue }
      let same = records[other].name.isExactly(record.name)
      records[index].oddities.append(
        same
          ? "two records have this name"
          : "PyTorch takes it and \(Text.quoted(records[other].name)) for one record")
    }
  }
}

extension String {
  /// The text with A to Z replaced by a to z.
  var foldingASCII: String {
    String(
      decoding: utf8.map { (0x41...0x5A).contains($0) ? $0 + 32 : $0 }, as: UTF8.self)
  }
}
