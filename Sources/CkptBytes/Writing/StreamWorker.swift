internal import CkptPlatform

/// The work of one thread of a ``StreamWriter``, with memory for one block.
final class StreamWorker {
  private let writer: StreamWriter
  private let segments: [StreamSegment]
  private let framing: (any StreamFraming)?
  private let file: File
  private var block = AlignedBytes(count: StreamWriter.blockSize)

  init(
    _ writer: StreamWriter, _ segments: [StreamSegment], _ framing: (any StreamFraming)?,
    _ file: File
  ) {
    self.writer = writer
    self.segments = segments
    self.framing = framing
    self.file = file
  }

  // MARK: - Small segments

  /// Writes neighboring segments with their headers and trailers in one call; returns their
  /// checksums.
  func writeGroup(_ range: Range<Int>) throws -> [UInt32] {
    try writer.cancellation.check()
    guard let first = range.first, let last = range.last else { return [] }
    let start = segments[first].start
    let size = segments[last].end - start
    var sums: [UInt32] = []
    sums.reserveCapacity(range.count)
    let bytes = try [UInt8](byteCount: size) { target in
      var read = 0..<0
      for index in range {
        let segment = segments[index]
        if !read.contains(index) { read = try readRun(from: index, before: range.upperBound) }
        let header = framing?.header(of: index) ?? []
        target.copy(header[...], at: segment.start - start)
        let place = segment.offset - start
        let end = place + segment.source.byteCount
        var data = target._mutatingExtracting(place..<end)
        if read.isEmpty {
          if !data.isEmpty {
            try reader(of: segment.source, in: 0..<data.byteCount).read(into: &data)
          }
        } else if case .region(let region) = segment.source {
          let from = region.offset - runStart
          block.copyBytes(in: from..<from + data.byteCount, to: &data)
        }
        let sum = trustedChecksum(segment.source) ?? Checksum.crc32(data.bytes)
        try compare(segment.source, sum)
        sums.append(sum)
        let trailer = framing?.trailer(of: index, crc32: sum) ?? []
        target.copy(trailer[...], at: end)
      }
    }
    try file.write(bytes, at: start)
    file.beginSync(at: start, count: size)
    writer.progress?(size)
    return sums
  }

  private var runStart = 0

  /// Reads several regions that are close together in one file with one call, into the block.
  ///
  /// - Returns: the indices of their segments; empty if the first segment is not a region, or has
  ///   no such neighbor.
  private func readRun(from first: Int, before limit: Int) throws -> Range<Int> {
    guard case .region(let region) = segments[first].source else { return first..<first }
    var (end, next, wanted) = (region.offset + region.byteCount, first + 1, region.byteCount)
    while next < limit, case .region(let other) = segments[next].source, other.file === region.file,
      other.offset >= end, other.offset - end <= 4096,
      other.offset + other.byteCount - region.offset <= block.count
    {
      end = other.offset + other.byteCount
      wanted += other.byteCount
      next += 1
    }
    guard next > first + 1, wanted >= (end - region.offset) / 4 else { return first..<first }
    runStart = region.offset
    try block.withMutableBytes(first: end - region.offset) {
      try region.file.read(into: &$0, at: region.offset)
    }
    return first..<next
  }

  // MARK: - Large segments

  /// Writes a part of a segment, preceded by the header if it is the first part; returns the part's
  /// checksum.
  func writePart(_ index: Int, _ range: Range<Int>) throws -> UInt32 {
    let segment = segments[index]
    if range.lowerBound == 0, let framing {
      try file.write(framing.header(of: index), at: segment.start)
    }
    let sum = try copy(segment, range)
    file.beginSync(at: segment.offset + range.lowerBound, count: range.count)
    return sum
  }

  /// Compares a large segment's checksum and writes the trailer.
  func finish(_ index: Int, _ sum: inout UInt32) throws {
    let segment = segments[index]
    if let recorded = trustedChecksum(segment.source) { sum = recorded }
    try compare(segment.source, sum)
    guard let framing else { return }
    try file.write(
      framing.trailer(of: index, crc32: sum), at: segment.offset + segment.source.byteCount)
  }

  /// The recorded checksum of a source, if it is to be copied without verification; nil otherwise.
  private func trustedChecksum(_ source: ByteSource) -> UInt32? {
    guard !writer.verifies, case .region(let region) = source else { return nil }
    return region.recordedCRC32
  }

  private func copy(_ segment: StreamSegment, _ range: Range<Int>) throws -> UInt32 {
    var sum: UInt32 = 0
    let isTrusted = trustedChecksum(segment.source) != nil
    func put(_ bytes: RawSpan, at offset: Int) throws {
      try writer.cancellation.check()
      if !isTrusted { sum = Checksum.crc32(bytes, from: sum) }
      try file.write(bytes, at: segment.offset + offset)
      writer.progress?(bytes.byteCount)
    }
    if case .bytes(let bytes) = segment.source {
      try bytes.withRawSpan { try put($0.extracting(range), at: range.lowerBound) }
    } else {
      try reader(of: segment.source, in: range)
        .forEachBlock(in: range, by: &block, put)
    }
    return sum
  }

  /// A reader of a range of a source that is written completely; a region's checksum is compared
  /// afterwards, by `compare`.
  private func reader(of source: ByteSource, in range: Range<Int>) throws -> any ByteReader {
    if case .region(let region) = source {
      return region.makeUncheckedReader(at: range.lowerBound)
    }
    let isWhole = range.count == source.byteCount
    return try isWhole ? source.makeWholeReader() : source.makeReader(at: range.lowerBound)
  }

  /// Compares the checksum of a region whose bytes have been read, or of the record that it is a
  /// part of.
  private func compare(_ source: ByteSource, _ sum: UInt32) throws {
    guard writer.verifies, case .region(let region) = source,
      region.byteCount > 0 || source.isWholeRecord
    else { return }
    try region.verify(havingRead: sum)
  }
}
