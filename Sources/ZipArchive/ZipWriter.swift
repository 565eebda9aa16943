public import Platform
internal import Synchronization

/// Writes an archive of stored, aligned records, on several threads, in blocks that fit a cache.
///
/// Every byte passes by once, and its checksum is taken on the way: damage is found, not copied on.
public struct ZipWriter: Sendable {
  /// How many threads work; what they write does not depend on it.
  public var workers = min(Parallel.processorCount, 4)
  /// Asks the writer to stop.
  public var cancellation: Cancellation
  /// Is told how many bytes were written since it was last told, from any thread.
  public var progress: (@Sendable (Int) -> Void)?

  private static let blockSize = 256 << 10
  private static let chunkSize = 4 << 20

  /// A writer.
  public init(
    cancellation: Cancellation = Cancellation(), progress: (@Sendable (Int) -> Void)? = nil
  ) {
    self.cancellation = cancellation
    self.progress = progress
  }

  /// What one thread takes on at a time.
  private enum Job {
    /// Neighbouring small records, written at once.
    case group(Range<Int>)
    /// A part of a record's bytes; the first part writes the header.
    case part(record: Int, Range<Int>)
  }

  private struct Results {
    var next = 0
    var failed = false
    var sums: [UInt32]
    var parts: [Int: [(start: Int, count: Int, sum: UInt32)]] = [:]
  }

  /// Writes `records` to `file`, from its start.
  ///
  /// - Throws: `ZipError.wrongChecksum` where a record's bytes are not those that its own archive
  ///   recorded; `FileError`; `CancelledError`; whatever a computed source throws.
  /// - Returns: the archive's size in bytes.
  @discardableResult
  public func write(_ records: [ZipRecord], to file: File) throws -> Int {
    let layout = try ZipLayout(records.map { ($0.name, $0.byteCount) })
    let jobs = Self.jobs(for: records)
    let results = Mutex(Results(sums: [UInt32](repeating: 0, count: records.count)))
    try Parallel.run(workers: max(1, min(workers, jobs.count))) { _ in
      let buffer = UnsafeMutableRawBufferPointer.allocate(
        byteCount: Self.blockSize, alignment: 64)
      defer { buffer.deallocate() }
      while let job = results.withLock({ Self.take(&$0, jobs) }) {
        do {
          switch job {
          case .group(let range):
            let sums = try writeGroup(range, records, layout, to: file)
            results.withLock { $0.sums.replaceSubrange(range, with: sums) }
          case .part(let index, let range):
            if range.lowerBound == 0 {
              try write(layout.header(layout.slots[index]), layout.slots[index].headerOffset, file)
            }
            let sum = try copy(records[index], range, layout.slots[index], buffer, to: file)
            file.beginSync(
              at: layout.slots[index].dataOffset + range.lowerBound, count: range.count)
            results.withLock {
              $0.parts[index, default: []].append((range.lowerBound, range.count, sum))
            }
          }
        } catch {
          results.withLock { $0.failed = true }
          throw error
        }
      }
    }
    var (sums, parts) = results.withLock { ($0.sums, $0.parts) }
    for (index, found) in parts {
      sums[index] = found.sorted { $0.start < $1.start }.reduce(0) {
        Checksum.combined($0, $1.sum, secondByteCount: $1.count)
      }
      let slot = layout.slots[index]
      try check(records[index], sums[index])
      try write(layout.descriptor(slot, crc32: sums[index]), slot.dataOffset + slot.byteCount, file)
    }
    try writeSerializationID(records, layout, &sums, to: file)
    let directory = layout.directory(crc32: sums)
    try write(directory, layout.directoryOffset, file)
    return layout.directoryOffset + directory.count
  }

  private static func take(_ results: inout Results, _ jobs: [Job]) -> Job? {
    guard !results.failed, results.next < jobs.count else { return nil }
    defer { results.next += 1 }
    return jobs[results.next]
  }

  private static func jobs(for records: [ZipRecord]) -> [Job] {
    var jobs: [Job] = []
    var group = 0..<0
    var groupSize = 0
    func flush() {
      if !group.isEmpty { jobs.append(.group(group)) }
      groupSize = 0
    }
    for (index, record) in records.enumerated() {
      guard case .source(let source) = record.content else { continue }
      if source.byteCount <= blockSize {
        if groupSize + source.byteCount > chunkSize || group.upperBound != index {
          flush()
          group = index..<index
        }
        group = group.lowerBound..<index + 1
        groupSize += source.byteCount + 128
        continue
      }
      flush()
      group = index + 1..<index + 1
      var step = chunkSize
      if case .computed(let computed) = source, !computed.isRandomAccess {
        step = computed.byteCount
      }
      for start in stride(from: 0, to: source.byteCount, by: step) {
        jobs.append(.part(record: index, start..<min(start + step, source.byteCount)))
      }
    }
    flush()
    return jobs
  }

  private func write(_ bytes: [UInt8], _ offset: Int, _ file: File) throws {
    try bytes.withUnsafeBytes { try file.write($0, at: offset) }
  }

  private func writeGroup(
    _ range: Range<Int>, _ records: [ZipRecord], _ layout: ZipLayout, to file: File
  ) throws -> [UInt32] {
    try cancellation.check()
    guard let first = range.first else { return [] }
    let start = layout.slots[first].headerOffset
    var bytes: [UInt8] = []
    bytes.reserveCapacity(layout.slots[range.upperBound - 1].end - start)
    var sums: [UInt32] = []
    for index in range {
      let slot = layout.slots[index]
      guard case .source(let source) = records[index].content else { continue }
      let data = try source.allBytes()
      let sum = Checksum.crc32(data)
      try check(records[index], sum)
      sums.append(sum)
      bytes += layout.header(slot)
      bytes += data
      bytes += layout.descriptor(slot, crc32: sum)
    }
    try write(bytes, start, file)
    file.beginSync(at: start, count: bytes.count)
    progress?(bytes.count)
    return sums
  }

  private func copy(
    _ record: ZipRecord, _ range: Range<Int>, _ slot: ZipLayout.Slot,
    _ buffer: UnsafeMutableRawBufferPointer, to file: File
  ) throws -> UInt32 {
    guard case .source(let source) = record.content else { return 0 }
    var sum: UInt32 = 0
    var place = range.lowerBound
    func put(_ block: UnsafeRawBufferPointer) throws {
      try cancellation.check()
      sum = Checksum.crc32(block, from: sum)
      try file.write(block, at: slot.dataOffset + place)
      place += block.count
      progress?(block.count)
    }
    func eachBlock(_ fill: (UnsafeMutableRawBufferPointer) throws -> Void) throws {
      while place < range.upperBound {
        let block = UnsafeMutableRawBufferPointer(
          rebasing: buffer[..<min(buffer.count, range.upperBound - place)])
        try fill(block)
        try put(UnsafeRawBufferPointer(block))
      }
    }
    switch source {
    case .bytes(let bytes):
      try bytes.withUnsafeBytes { try put(UnsafeRawBufferPointer(rebasing: $0[range])) }
    case .region(let region):
      try eachBlock { try region.file.read(into: $0, at: region.offset + place) }
    case .computed(let computed):
      let reader = try computed.makeReader(at: range.lowerBound)
      try eachBlock { try reader.read(into: $0) }
    }
    return sum
  }

  private func check(_ record: ZipRecord, _ sum: UInt32) throws {
    guard case .source(.region(let region)) = record.content,
      let recorded = region.recordedCRC32, recorded != sum
    else { return }
    throw ZipError.wrongChecksum(
      file: region.file.path, entry: region.name, key: record.key, recorded: recorded, found: sum)
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
      try write(bytes, slot.headerOffset, file)
    }
  }
}
