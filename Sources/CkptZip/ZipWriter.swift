package import CkptPlatform
package import CkptBytes

/// Writes archives of uncompressed, aligned records with a ``StreamWriter``.
package struct ZipWriter: Sendable {
  private let stream: StreamWriter

  /// Creates a writer that uses `stream`.
  package init(_ stream: StreamWriter = StreamWriter()) { self.stream = stream }

  /// Writes an archive to `file`, from its start.
  ///
  /// - Throws: `ChecksumError` with the record's key if the bytes of a source do not match the
  ///   checksum that their container recorded; `FileError`; `CancelledError`; what a computed
  ///   source throws.
  /// - Returns: the size of the archive in bytes.
  @discardableResult
  package func write(_ archive: ZipPlan, to file: File) throws -> Int {
    try write(inARow: [archive], to: file)
  }

  /// Writes several archives consecutively; offsets in each are relative to its own start.
  ///
  /// - Returns: the total size in bytes.
  /// - Throws: as ``write(_:to:)``.
  @discardableResult
  package func write(inARow archives: [ZipPlan], to file: File) throws -> Int {
    var placed: [PlacedArchive] = []
    var segments: [StreamSegment] = []
    var positions: [(archive: Int, record: Int)] = []
    var start = 0
    for (number, archive) in archives.enumerated() {
      let (records, layout) = (archive.records, archive.layout)
      placed.append(PlacedArchive(start: start, layout: layout))
      for (index, record) in records.enumerated() {
        guard case .source(let source) = record.content else { continue }
        let slot = layout.slots[index]
        segments.append(
          StreamSegment(
            offset: start + slot.dataOffset, source: source,
            headerByteCount: slot.dataOffset - slot.headerOffset,
            trailerByteCount: slot.end - slot.dataOffset - slot.byteCount))
        positions.append((number, index))
      }
      start += layout.byteCount
    }
    var sums = archives.map { [UInt32](repeating: 0, count: $0.records.count) }
    do {
      let found = try stream.write(
        segments, framing: Framing(archives: placed, positions: positions), to: file)
      for (position, sum) in zip(positions, found) { sums[position.archive][position.record] = sum }
    } catch let error as ChecksumError where error.key == nil {
      throw error.naming(Self.key(of: error, in: archives))
    }
    for (number, archive) in archives.enumerated() {
      try finish(archive.records, placed[number], &sums[number], to: file)
    }
    return start
  }

  /// The file offset of an archive, and its layout.
  private struct PlacedArchive {
    let start: Int
    let layout: ZipLayout
  }

  /// The headers and data descriptors around the contents.
  private struct Framing: StreamFraming {
    let archives: [PlacedArchive]
    let positions: [(archive: Int, record: Int)]

    func header(of index: Int) -> [UInt8] {
      let (layout, slot) = slot(of: index)
      return layout.header(slot)
    }
    func trailer(of index: Int, crc32: UInt32) -> [UInt8] {
      let (layout, slot) = slot(of: index)
      return layout.descriptor(slot, crc32: crc32)
    }
    private func slot(of index: Int) -> (ZipLayout, ZipLayout.Slot) {
      let position = positions[index]
      let layout = archives[position.archive].layout
      return (layout, layout.slots[position.record])
    }
  }

  private static func key(of error: ChecksumError, in archives: [ZipPlan]) -> String? {
    for record in archives.lazy.map(\.records).joined() {
      guard case .source(.region(let region)) = record.content else { continue }
      if region.name == error.record, region.file.path == error.file { return record.key }
    }
    return nil
  }

  /// Writes the parts that depend on the checksums: summaries and the directory.
  private func finish(
    _ records: [ZipRecord], _ archive: PlacedArchive, _ sums: inout [UInt32], to file: File
  ) throws {
    let layout = archive.layout
    for (index, record) in records.enumerated() {
      guard case .summary(let byteCount, let make) = record.content else { continue }
      let summary = make(
        (0..<index).map {
          .init(name: records[$0].name, crc32: sums[$0], byteCount: records[$0].byteCount)
        })
      guard summary.count == byteCount else {
        throw ZipError.unwritable(
          "a summary has not the size that it was laid out for (\(record.name))")
      }
      sums[index] = Checksum.crc32(summary)
      let slot = layout.slots[index]
      let bytes = layout.header(slot) + summary + layout.descriptor(slot, crc32: sums[index])
      try file.write(bytes, at: archive.start + slot.headerOffset)
    }
    try file.write(layout.directory(crc32: sums), at: archive.start + layout.directoryOffset)
  }
}
