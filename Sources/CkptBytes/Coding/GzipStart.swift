internal import CCkptZlib

/// Reads the beginning of gzip-compressed data.
package enum GzipStart {
  /// The first decompressed bytes, at most `count`; fewer if the compressed bytes end or are
  /// invalid.
  package static func inflated(_ bytes: [UInt8], count: Int) -> [UInt8] {
    var stream = z_stream()
    // A window of 32 KiB (15), plus 16 to expect a gzip header (zlib.h, inflateInit2).
    guard
      inflateInit2_(
        &stream, 15 + 16, ZLIB_VERSION, Int32(truncatingIfNeeded: MemoryLayout<z_stream>.size))
        == Z_OK
    else { return [] }
    defer { inflateEnd(&stream) }
    var input = bytes
    return [UInt8](unsafeUninitializedCapacity: count) { output, written in
      input.withUnsafeMutableBufferPointer { input in
        stream.next_in = input.baseAddress
        stream.avail_in = UInt32(clamping: input.count)
        stream.next_out = output.baseAddress
        stream.avail_out = UInt32(clamping: output.count)
        _ = inflate(&stream, Z_SYNC_FLUSH)
        written = output.count - Int(stream.avail_out)
      }
    }
  }
}
