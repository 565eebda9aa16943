internal import CCkptZlib
package import CkptPlatform

/// The decompressed bytes of a region with raw deflate data (RFC 1951), whose CRC-32 is compared at
/// the end if the region has one.
package struct InflatedRegion: ComputedBytes {
  private let region: FileRegion
  /// The number of decompressed bytes.
  package let byteCount: Int
  /// Always false.
  package var isRandomAccess: Bool { false }

  /// Creates a source of `byteCount` bytes; reading fails if the data has another size.
  package init(_ region: FileRegion, byteCount: Int) {
    self.region = region
    self.byteCount = byteCount
  }

  /// Creates a reader that starts at 0.
  ///
  /// - Throws: `DeflateError` if there is no memory.
  package func makeReader(at offset: Int) throws -> any ByteReader {
    try Reader(region, byteCount: byteCount)
  }

  private final class Reader: ByteReader {
    private let region: FileRegion
    private let stream: UnsafeMutablePointer<z_stream>
    private var input: [UInt8] = []
    /// The index in `input` of the next byte.
    private var taken = 0
    /// The number of bytes of the region that have been read.
    private var position = 0
    private var left: Int
    private var sum: UInt32 = 0

    init(_ region: FileRegion, byteCount: Int) throws {
      self.region = region
      left = byteCount
      stream = .allocate(capacity: 1)
      stream.initialize(to: z_stream())
      // A negative window size means raw data (zlib.h, inflateInit2).
      let size = Int32(truncatingIfNeeded: MemoryLayout<z_stream>.size)
      guard inflateInit2_(stream, -15, ZLIB_VERSION, size) == Z_OK else {
        throw DeflateError(file: region.file.path, record: region.name)
      }
    }

    deinit {
      inflateEnd(stream)
      stream.deallocate()
    }

    func read(into bytes: inout MutableRawSpan) throws {
      var done = 0
      while done < bytes.byteCount {
        if taken == input.count, position < region.byteCount {
          let count = min(64 << 10, region.byteCount - position)
          input = try region.file.bytes(at: region.offset + position, count: count)
          position += count
          taken = 0
        }
        var rest = bytes._mutatingExtracting(done...)
        let count = rest.withUnsafeMutableBytes { inflate(into: $0) }
        // Input that is used up without any output is continued by the next block.
        guard count > 0 || (taken == input.count && position < region.byteCount) else {
          throw DeflateError(file: region.file.path, record: region.name)
        }
        done += count
      }
      left -= done
      sum = Checksum.crc32(bytes.bytes, from: sum)
      if left == 0, let recorded = region.recordedCRC32, recorded != sum {
        throw ChecksumError(
          file: region.file.path, record: region.name, recorded: recorded, found: sum)
      }
    }

    /// Decompresses as many bytes as possible; returns their number, or 0 for invalid data, and at
    /// the end. Several calls may be needed for one block of input.
    private func inflate(into output: UnsafeMutableRawBufferPointer) -> Int {
      let start = taken
      var produced = 0
      var used = 0
      input.withUnsafeMutableBufferPointer { input in
        stream.pointee.next_in = input.baseAddress.map { $0 + start }
        stream.pointee.avail_in = UInt32(clamping: input.count - start)
        let room = UInt32(clamping: output.count)
        stream.pointee.next_out = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
        stream.pointee.avail_out = room
        let status = CCkptZlib.inflate(stream, Z_NO_FLUSH)
        used = input.count - start - Int(stream.pointee.avail_in)
        if status == Z_OK || status == Z_STREAM_END || status == Z_BUF_ERROR {
          produced = Int(room - stream.pointee.avail_out)
        }
      }
      taken += used
      return produced
    }
  }
}

/// Compressed data is invalid, or shorter than its container says.
package struct DeflateError: Diagnostic {
  let file: String
  let record: String

  /// The category of the error.
  package var kind: DiagnosticKind { .badInput }
  /// One line that says what is wrong and where.
  package var description: String {
    "its compressed bytes are damaged (\(file), record \"\(record)\")"
  }
}
