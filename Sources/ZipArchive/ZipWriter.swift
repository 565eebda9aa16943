public import Platform
public import Streaming

/// Writes an archive of stored, aligned records: the bytes go through a ``StreamWriter``.
public struct ZipWriter: Sendable {
  private let stream: StreamWriter

  /// A writer that uses `stream`.
  public init(_ stream: StreamWriter = StreamWriter()) { self.stream = stream }

  /// Writes `records` to `file`, from its start.
  ///
  /// - Throws: `ChecksumError` where a record's bytes are not those that its own archive recorded, with
  ///   the key that the record names; `FileError`; `CancelledError`; whatever a computed source throws.
  /// - Returns: the archive's size in bytes.
  @discardableResult
  public func write(_ records: [ZipRecord], to file: File) throws -> Int {
    let layout = try ZipLayout(records.map { ($0.name, $0.byteCount) })
    var segments: [StreamSegment] = []
    var indices: [Int] = []
    for (index, record) in records.enumerated() {
      guard case .source(let source) = record.content else { continue }
      let slot = layout.slots[index]
      segments.append(
        StreamSegment(
          offset: slot.dataOffset, source: source,
          headerByteCount: slot.dataOffset - slot.headerOffset,
          trailerByteCount: slot.end - slot.dataOffset - slot.byteCount))
      indices.append(index)
    }
    var sums = [UInt32](repeating: 0, count: records.count)
    do {
      let found = try stream.write(
        segments, framing: Framing(layout: layout, indices: indices), to: file)
      for (index, sum) in zip(indices, found) { sums[index] = sum }
    } catch let error as ChecksumError where error.key == nil {
      throw error.naming(Self.key(of: error, in: records))
    }
    try writeSerializationID(records, layout, &sums, to: file)
    let directory = layout.directory(crc32: sums)
    try directory.withUnsafeBytes { try file.write($0, at: layout.directoryOffset) }
    return layout.directoryOffset + directory.count
  }

  /// The headers and descriptors around the records' bytes.
  private struct Framing: StreamFraming {
    let layout: ZipLayout
    let indices: [Int]

    func header(of index: Int) -> [UInt8] { layout.header(layout.slots[indices[index]]) }
    func trailer(of index: Int, crc32: UInt32) -> [UInt8] {
      layout.descriptor(layout.slots[indices[index]], crc32: crc32)
    }
  }

  private static func key(of error: ChecksumError, in records: [ZipRecord]) -> String? {
    records.first { record in
      guard case .source(.region(let region)) = record.content else { return false }
      return region.name == error.record && region.file.path == error.file
    }?.key
  }

  private func writeSerializationID(
    _ records: [ZipRecord], _ layout: ZipLayout, _ sums: inout [UInt32], to file: File
  ) throws {
    for (index, record) in records.enumerated() {
      guard case .serializationID = record.content else { continue }
      let before = (0..<index).map { (records[$0].name, sums[$0], records[$0].byteCount) }
      let digits = SerializationID.digits(before)
      sums[index] = Checksum.crc32(digits)
      let slot = layout.slots[index]
      let bytes = layout.header(slot) + digits + layout.descriptor(slot, crc32: sums[index])
      try bytes.withUnsafeBytes { try file.write($0, at: slot.headerOffset) }
    }
  }
}
