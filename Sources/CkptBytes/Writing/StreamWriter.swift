package import CkptPlatform
internal import Synchronization

/// A run of bytes that is to stand in a file, and where.
package struct StreamSegment: Sendable {
  /// Where its first byte goes, in bytes from the file's start.
  package var offset: Int
  /// How its bytes can be had.
  package var source: ByteSource
  /// Where what stands behind the bytes ends, so that neighbors can be written at once; at least the
  /// end of the bytes.
  package var end: Int
  /// How many bytes stand before them that ``StreamFraming`` gives.
  package var headerByteCount: Int

  /// The bytes of `source` at `offset`.
  package init(offset: Int, source: ByteSource, headerByteCount: Int = 0, trailerByteCount: Int = 0)
  {
    self.offset = offset
    self.source = source
    self.headerByteCount = headerByteCount
    end = offset + source.byteCount + trailerByteCount
  }

  var start: Int { offset - headerByteCount }
}

/// What stands around the segments of a file, such as an archive's headers; made when it is written.
package protocol StreamFraming: Sendable {
  /// The bytes just before segment `index`: as many as its `headerByteCount`.
  func header(of index: Int) -> [UInt8]
  /// The bytes just behind segment `index`, whose checksum is now known.
  func trailer(of index: Int, crc32: UInt32) -> [UInt8]
}

/// Fills a file with segments, on several threads, in blocks that fit a cache.
///
/// Every byte passes by once, and its checksum is taken on the way: damage is found, not copied on.
/// What is written does not depend on the number of threads. A thread holds one block at a time, so
/// memory does not grow with the segments.
package struct StreamWriter: Sendable {
  /// How many threads work.
  package var workers = min(Parallel.processorCount, 4)
  /// Whether the checksums that the sources' containers recorded are compared. If not, those are taken
  /// over unseen. (The bytes pass through memory all the same: `copy_file_range` is slower.)
  package var verifies = true
  /// Asks the writer to stop.
  package var cancellation: Cancellation
  /// Is told how many bytes were written since it was last told, from any thread.
  package var progress: (@Sendable (Int) -> Void)?

  /// A thread reads and writes this much at a time.
  static let blockSize = ByteSource.blockSize
  /// A thread takes on this much at a time.
  static let chunkSize = 4 << 20
  /// Neighboring small segments are written at once, up to this size.
  static let groupSize = 1 << 20

  /// A writer.
  package init(
    cancellation: Cancellation = Cancellation(), progress: (@Sendable (Int) -> Void)? = nil
  ) {
    self.cancellation = cancellation
    self.progress = progress
  }

  /// What one thread takes on at a time.
  enum Job: Equatable {
    /// A computed segment is made ready, ahead of its parts.
    case prepare(Int)
    /// Neighboring small segments, written at once.
    case group(Range<Int>)
    /// A part of a segment's bytes; the first part writes the header.
    case part(segment: Int, Range<Int>)
  }

  private struct Results {
    var sums: [UInt32]
    var parts: [Int: [(start: Int, count: Int, sum: UInt32)]] = [:]
  }

  /// Writes `segments` to `file`; they lie in it in their order, without overlaps.
  ///
  /// - Throws: ``ChecksumError`` where a region's bytes are not those that its container recorded;
  ///   `FileError`; `CancelledError`; whatever a computed source throws.
  /// - Returns: the CRC-32 of each segment.
  @discardableResult
  package func write(
    _ segments: [StreamSegment], framing: (any StreamFraming)? = nil, to file: File
  ) throws -> [UInt32] {
    let jobs = Self.jobs(for: segments)
    let end = segments.last?.end ?? 0
    if end > Self.chunkSize { try file.reserve(byteCount: end) }
    let results = Mutex(Results(sums: [UInt32](repeating: 0, count: segments.count)))
    try Parallel.forEach(
      of: jobs, workers: workers, room: { StreamWorker(self, segments, framing, file) }
    ) { job, worker in
      switch job {
      case .prepare(let index): try segments[index].source.prepare()
      case .group(let range):
        let sums = try worker.writeGroup(range)
        results.withLock { $0.sums.replaceSubrange(range, with: sums) }
      case .part(let index, let range):
        let sum = try worker.writePart(index, range)
        results.withLock {
          $0.parts[index, default: []].append((range.lowerBound, range.count, sum))
        }
      }
    }
    var (sums, parts) = results.withLock { ($0.sums, $0.parts) }
    let worker = StreamWorker(self, segments, framing, file)
    for (index, found) in parts.sorted(by: { $0.key < $1.key }) {
      sums[index] = found.sorted { $0.start < $1.start }.reduce(0) {
        Checksum.combined($0, $1.sum, secondByteCount: $1.count)
      }
      try worker.finish(index, &sums[index])
    }
    return sums
  }

  /// The work in the order in which it is taken on.
  ///
  /// A computed segment is prepared while the one before it is written, so that no thread waits.
  static func jobs(for segments: [StreamSegment]) -> [Job] {
    var jobs: [Job] = []
    var group = 0..<0
    func flush() {
      if !group.isEmpty { jobs.append(.group(group)) }
      group = group.upperBound..<group.upperBound
    }
    // Where the next preparation goes: before the parts of the computed segment before.
    var preparationPlace: Int?
    for (index, segment) in segments.enumerated() {
      let count = segment.source.byteCount
      if count <= blockSize {
        let fits =
          !group.isEmpty && group.upperBound == index && segments[index - 1].end == segment.start
          && segment.end - segments[group.lowerBound].start <= groupSize
        if !fits {
          flush()
          group = index..<index
        }
        group = group.lowerBound..<index + 1
        continue
      }
      flush()
      var step = chunkSize
      if !segment.source.isRandomAccess { step = count }
      if segment.source.needsPreparation {
        let position = preparationPlace ?? jobs.count
        preparationPlace = jobs.count + 1
        jobs.insert(.prepare(index), at: position)
      }
      for start in stride(from: 0, to: count, by: step) {
        jobs.append(.part(segment: index, start..<min(start + step, count)))
      }
    }
    flush()
    return jobs
  }
}
