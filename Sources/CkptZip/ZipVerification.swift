package import CkptPlatform
internal import CkptBytes
internal import Synchronization

extension ZipReader {
  /// The result of checking one record.
  package struct RecordCheck: Sendable {
    /// The record.
    package let entry: ZipEntry
    /// The problem that was found; nil if there is none.
    package let problem: (any Diagnostic)?
  }

  private struct Job {
    let record: Int
    let range: Range<Int>
  }

  private struct Found {
    var parts: [Int: [(start: Int, count: Int, sum: UInt32)]] = [:]
    var problems: [Int: ZipError] = [:]
  }

  /// Reads the content of every record, on several threads, and compares its checksum if one is
  /// recorded.
  ///
  /// - Parameters:
  ///   - progress: called from any thread with the number of bytes read since the last call.
  /// - Returns: the result for every record, in the directory's order.
  /// - Throws: `FileError` if the file cannot be read; `CancelledError`.
  package func checkRecords(
    workers: Int = min(Parallel.processorCount, 4), cancellation: Cancellation = Cancellation(),
    progress: (@Sendable (Int) -> Void)? = nil
  ) throws -> [RecordCheck] {
    var jobs: [Job] = []
    for (index, entry) in entries.enumerated() {
      let step = entry.isStored ? 16 << 20 : max(entry.byteCount, 1)
      for start in stride(from: 0, to: max(entry.byteCount, 1), by: step) {
        jobs.append(Job(record: index, range: start..<min(start + step, entry.byteCount)))
      }
    }
    let found = Mutex(Found())
    try Parallel.forEach(
      of: jobs, workers: workers, room: { AlignedBytes(count: ByteSource.blockSize) }
    ) { job, room in
      do {
        let source = try source(of: entries[job.record], comparing: false)
        let reader =
          try source.isRandomAccess
          ? source.makeReader(at: job.range.lowerBound) : source.makeWholeReader()
        var sum: UInt32 = 0
        try reader.forEachBlock(in: job.range, by: &room) { block, _ in
          try cancellation.check()
          sum = Checksum.crc32(block, from: sum)
          progress?(block.byteCount)
        }
        let part = (job.range.lowerBound, job.range.count, sum)
        found.withLock { $0.parts[job.record, default: []].append(part) }
      } catch let error as ZipError {
        found.withLock { $0.problems[job.record] = error }
      }
    }
    let (parts, problems) = found.withLock { ($0.parts, $0.problems) }
    return entries.enumerated().map { index, entry in
      if let problem = problems[index] { return RecordCheck(entry: entry, problem: problem) }
      let sum = (parts[index] ?? []).sorted { $0.start < $1.start }.reduce(UInt32(0)) {
        Checksum.combined($0, $1.sum, secondByteCount: $1.count)
      }
      guard let recorded = entry.recordedCRC32, recorded != sum else {
        return RecordCheck(entry: entry, problem: nil)
      }
      return RecordCheck(
        entry: entry,
        problem: ChecksumError(
          file: file.path, record: shown(entry), recorded: recorded, found: sum))
    }
  }
}
