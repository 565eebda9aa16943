package import CkptPlatform
internal import Synchronization

/// Bytes to be written at a given position in a file.
package struct StreamSegment: Sendable {
  /// The file offset of the first byte.
  package var offset: Int
  /// The bytes.
  package var source: ByteSource
  /// The file offset of the end of the trailer, or of the bytes if there is none. Segments that
  /// touch can be written together.
  package var end: Int
  /// The number of bytes of the header, which ``StreamFraming`` provides.
  package var headerByteCount: Int

  /// Creates a segment for the bytes of `source` at `offset`.
  package init(offset: Int, source: ByteSource, headerByteCount: Int = 0, trailerByteCount: Int = 0)
  {
    self.offset = offset
    self.source = source
    self.headerByteCount = headerByteCount
    end = offset + source.byteCount + trailerByteCount
  }

  var start: Int { offset - headerByteCount }
}

/// Provides the bytes around segments, such as an archive's headers, when they are written.
package protocol StreamFraming: Sendable {
  /// The bytes before segment `index`; as many as its `headerByteCount`.
  func header(of index: Int) -> [UInt8]
  /// The bytes after segment `index`, given the checksum of its bytes.
  func trailer(of index: Int, crc32: UInt32) -> [UInt8]
}

/// Writes segments to a file, on several threads, in blocks that fit in a cache.
///
/// Every byte is read once, and its checksum is computed meanwhile, so that damage is detected
/// rather than copied. The output does not depend on the number of threads. A thread holds one
/// block at a time, so memory does not grow with the segments.
package struct StreamWriter: Sendable {
  /// The number of threads.
  package var workers = min(Parallel.processorCount, 4)
  /// Whether checksums recorded by the sources' containers are compared. If not, recorded checksums
  /// are copied without being verified. (The bytes still pass through memory, since
  /// `copy_file_range` is slower.)
  package var verifies = true
  /// Cancels the writing.
  package var cancellation: Cancellation
  /// Called from any thread with the number of bytes written since the last call.
  package var progress: (@Sendable (Int) -> Void)?

  /// The number of bytes that a thread reads and writes at a time.
  static let blockSize = ByteSource.blockSize
  /// The number of bytes of a job.
  static let chunkSize = 4 << 20
  /// The maximum number of bytes of neighboring small segments that are written together.
  static let groupSize = 1 << 20

  /// Creates a writer.
  package init(
    cancellation: Cancellation = Cancellation(), progress: (@Sendable (Int) -> Void)? = nil
  ) {
    self.cancellation = cancellation
    self.progress = progress
  }

  /// A unit of work for one thread.
  enum Job: Equatable {
    /// Prepares a computed segment, or verifies the record that a segment is a part of, before the
    /// segment's parts are written.
    case prepare(Int)
    /// Writes neighboring small segments together.
    case group(Range<Int>)
    /// Writes a part of a segment's bytes; the first part also writes the header.
    case part(segment: Int, Range<Int>)
  }

  private struct Results {
    var sums: [UInt32]
    var parts: [Int: [(start: Int, count: Int, sum: UInt32)]] = [:]
  }

  /// Writes `segments` to `file`. They must be in the order of their offsets and must not overlap.
  ///
  /// - Throws: ``ChecksumError`` if a region's bytes do not match the checksum that its container
  ///   recorded; `FileError`; `CancelledError`; what a computed source throws.
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
      case .prepare(let index):
        let source = segments[index].source
        if verifies || !source.isRegion { try source.prepare() }
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

  /// The jobs, in the order in which they are started.
  ///
  /// A computed segment is prepared while the previous one is written, so that no thread waits.
  static func jobs(for segments: [StreamSegment]) -> [Job] {
    var jobs: [Job] = []
    var group = 0..<0
    func flush() {
      if !group.isEmpty { jobs.append(.group(group)) }
      group = group.upperBound..<group.upperBound
    }
    // The index at which the next preparation is inserted: before the parts of the previous
    // computed segment.
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
      // A whole record is compared while it is copied.
      if segment.source.needsPreparation, !segment.source.isWholeRecord {
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
