internal import CCkptBzip2
internal import CCkptLZMA
internal import CCkptZlib

/// A decoder of one compressed stream, which is given in parts.
protocol StreamDecoder: AnyObject {
  /// Decodes some of `input` into `output` from `position` on, until one of them is used up.
  func step(_ input: ArraySlice<UInt8>, into output: inout [UInt8], at position: Int)
    -> DecodingStep
}

/// What a decoder did.
struct DecodingStep {
  enum Status {
    case goesOn
    case ends
    case damaged
    /// The stream wants more memory than is allowed.
    case needsMemory
  }

  var consumed = 0
  var produced = 0
  var status: Status
}

extension Compression {
  /// A decoder at the start of a stream; nil if there is no memory for it.
  func makeDecoder() -> (any StreamDecoder)? {
    switch self {
    // zlib.h, inflateInit2: a window of 2^15 bytes; 16 more for a gzip header, negative for none.
    case .gzip: ZlibDecoder(windowBits: 15 + 16)
    case .zlib: ZlibDecoder(windowBits: 15)
    case .deflate: ZlibDecoder(windowBits: -15)
    case .bzip2: Bzip2Decoder()
    case .xz: LZMADecoder()
    }
  }
}

/// Deflate, with or without a header.
private final class ZlibDecoder: StreamDecoder {
  // zlib keeps the address of the stream, so that it must not move.
  private let stream: UnsafeMutablePointer<z_stream>

  init?(windowBits: Int32) {
    stream = .allocate(capacity: 1)
    stream.initialize(to: z_stream())
    let size = Int32(truncatingIfNeeded: MemoryLayout<z_stream>.size)
    guard inflateInit2_(stream, windowBits, ZLIB_VERSION, size) == Z_OK else { return nil }
  }

  deinit {
    inflateEnd(stream)
    stream.deallocate()
  }

  func step(
    _ input: ArraySlice<UInt8>, into output: inout [UInt8], at position: Int
  ) -> DecodingStep {
    withBuffers(input, &output, position) { source, target in
      stream.pointee.next_in = source.baseAddress
      stream.pointee.avail_in = UInt32(clamping: source.count)
      stream.pointee.next_out = target.baseAddress
      stream.pointee.avail_out = UInt32(clamping: target.count)
      let result = inflate(stream, Z_NO_FLUSH)
      let status: DecodingStep.Status =
        switch result {
        case Z_OK, Z_BUF_ERROR: .goesOn
        case Z_STREAM_END: .ends
        case Z_MEM_ERROR: .needsMemory
        default: .damaged
        }
      return DecodingStep(
        consumed: source.count - Int(stream.pointee.avail_in),
        produced: target.count - Int(stream.pointee.avail_out), status: status)
    }
  }
}

private final class Bzip2Decoder: StreamDecoder {
  private let stream: UnsafeMutablePointer<bz_stream>

  init?() {
    stream = .allocate(capacity: 1)
    stream.initialize(to: bz_stream())
    guard BZ2_bzDecompressInit(stream, 0, 0) == BZ_OK else { return nil }
  }

  deinit {
    BZ2_bzDecompressEnd(stream)
    stream.deallocate()
  }

  func step(
    _ input: ArraySlice<UInt8>, into output: inout [UInt8], at position: Int
  ) -> DecodingStep {
    withBuffers(input, &output, position) { source, target in
      source.withMemoryRebound(to: CChar.self) { source in
        target.withMemoryRebound(to: CChar.self) { target in
          stream.pointee.next_in = source.baseAddress
          stream.pointee.avail_in = UInt32(clamping: source.count)
          stream.pointee.next_out = target.baseAddress
          stream.pointee.avail_out = UInt32(clamping: target.count)
          let result = BZ2_bzDecompress(stream)
          let status: DecodingStep.Status =
            switch result {
            case BZ_OK: .goesOn
            case BZ_STREAM_END: .ends
            case BZ_MEM_ERROR: .needsMemory
            default: .damaged
            }
          return DecodingStep(
            consumed: source.count - Int(stream.pointee.avail_in),
            produced: target.count - Int(stream.pointee.avail_out), status: status)
        }
      }
    }
  }
}

private final class LZMADecoder: StreamDecoder {
  /// The maximum memory of a decoder in bytes; `xz -9` needs 65 MB.
  private static let memoryLimit: UInt64 = 68 << 20

  private let stream: UnsafeMutablePointer<lzma_stream>

  init?() {
    stream = .allocate(capacity: 1)
    stream.initialize(to: lzma_stream())
    guard lzma_auto_decoder(stream, Self.memoryLimit, 0) == LZMA_OK else { return nil }
  }

  deinit {
    lzma_end(stream)
    stream.deallocate()
  }

  func step(
    _ input: ArraySlice<UInt8>, into output: inout [UInt8], at position: Int
  ) -> DecodingStep {
    withBuffers(input, &output, position) { source, target in
      stream.pointee.next_in = UnsafePointer(source.baseAddress)
      stream.pointee.avail_in = source.count
      stream.pointee.next_out = target.baseAddress
      stream.pointee.avail_out = target.count
      let result = lzma_code(stream, LZMA_RUN)
      let status: DecodingStep.Status =
        switch result {
        case LZMA_OK, LZMA_BUF_ERROR: .goesOn
        case LZMA_STREAM_END: .ends
        case LZMA_MEM_ERROR, LZMA_MEMLIMIT_ERROR: .needsMemory
        default: .damaged
        }
      return DecodingStep(
        consumed: source.count - stream.pointee.avail_in,
        produced: target.count - stream.pointee.avail_out, status: status)
    }
  }
}

/// Calls `body` with the memory of the input, which it must not change, and of the rest of the
/// output.
private func withBuffers(
  _ input: ArraySlice<UInt8>, _ output: inout [UInt8], _ position: Int,
  _ body: (UnsafeMutableBufferPointer<UInt8>, UnsafeMutableBufferPointer<UInt8>) -> DecodingStep
) -> DecodingStep {
  output.withUnsafeMutableBufferPointer { target in
    input.withUnsafeBufferPointer { source in
      body(
        UnsafeMutableBufferPointer(mutating: source),
        UnsafeMutableBufferPointer(rebasing: target[position...]))
    }
  }
}
