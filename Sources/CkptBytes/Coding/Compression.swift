internal import CkptPlatform

/// A kind of compressed stream, as Python's `gzip`, `zlib`, `bz2` and `lzma` read them.
package enum Compression: String, Sendable, CaseIterable {
  case gzip
  case zlib
  /// Deflate without a header, as in a zip archive.
  case deflate
  case bzip2
  /// The `.xz` container or its predecessor `.lzma`.
  case xz

  /// The compression of a stream that begins with `start`; nil if it is none that has a header.
  package static func recognize(_ start: some Collection<UInt8>) -> Compression? {
    let start = Array(start.prefix(13))
    if start.starts(with: [0x1F, 0x8B, 8]) { return .gzip }
    if start.starts(with: "BZh".utf8), start.count > 3, (0x31...0x39).contains(start[3]) {
      return .bzip2
    }
    if start.starts(with: [0xFD, 0x37, 0x7A, 0x58, 0x5A, 0]) { return .xz }
    // .lzma: the usual parameters, a dictionary of at least 4 kB, and a size of -1 or below 2^56.
    if start.count == 13, start[0] == 0x5D, start[1] == 0, start[2] & 0x0F == 0,
      start[12] == 0 || start[5...].allSatisfy({ $0 == 0xFF })
    {
      return .xz
    }
    // zlib: method 8 with a window of 32 kB, and two bytes that are a multiple of 31 together.
    if start.count > 2, start[0] == 0x78, (0x7800 | Int(start[1])).isMultiple(of: 31),
      start[1] & 0x20 == 0
    {
      return .zlib
    }
    return nil
  }

  /// What a stream gave.
  package struct Output: Sendable {
    /// The decompressed bytes, in memory or in a file without a name.
    package let source: ByteSource
    /// The number of bytes of the stream, including concatenated ones.
    package let consumed: Int
    /// Why there are no more bytes, if the stream did not end: it is damaged, cut off, or larger
    /// than the limit.
    package let problem: String?
    /// Whether the limit was reached.
    package let isCut: Bool
  }

  /// The maximum number of decompressed bytes that are kept in memory.
  private static let memoryLimit = 1 << 20
  private static let blockSize = 256 << 10

  /// Decompresses a stream and those concatenated to it, as Python does. Bytes before damage are
  /// kept, since a loader sees them, too.
  ///
  /// - Parameters:
  ///   - limit: the maximum number of decompressed bytes.
  ///   - path: the name in error messages.
  /// - Throws: what reading `source` throws; `FileError` if there is no room for temporary files.
  package func decompress(_ source: ByteSource, limit: Int, path: String) throws -> Output {
    var reader = try CompressedReader(self, source, limit: limit)
    var head: [UInt8] = []
    while head.count < min(Self.memoryLimit, limit), !reader.isDone {
      head += try reader.next(min(Self.blockSize, Self.memoryLimit - head.count))
    }
    var output = ByteSource.bytes(head)
    if !reader.isDone {
      var count = 0
      let file = try File.unnamed(path: path) { file in
        try file.write(head, at: 0)
        count = head.count
        while !reader.isDone {
          let block = try reader.next(Self.blockSize)
          try file.write(block, at: count)
          count += block.count
        }
      }
      output = .region(FileRegion(file: file, offset: 0, byteCount: count, name: path))
    }
    return Output(
      source: output, consumed: reader.consumed, problem: reader.problem, isCut: reader.isCut)
  }
}

/// Reads a compressed source sequentially.
private struct CompressedReader {
  private let kind: Compression
  private let source: ByteSource
  private let limit: Int
  private var decoder: any StreamDecoder
  private var input: [UInt8] = []
  private var inputPosition = 0
  private var inputEnd = 0
  private var produced = 0
  private(set) var isDone = false
  private(set) var isCut = false
  private(set) var problem: String?

  init(_ kind: Compression, _ source: ByteSource, limit: Int) throws {
    self.kind = kind
    self.source = source
    self.limit = limit
    guard let decoder = kind.makeDecoder() else { throw DecoderMemoryError() }
    self.decoder = decoder
  }

  var consumed: Int { inputEnd - (input.count - inputPosition) }

  private mutating func refill() throws {
    guard inputPosition == input.count, inputEnd < source.byteCount else { return }
    let end = min(inputEnd + 64 << 10, source.byteCount)
    input = try source.bytes(in: inputEnd..<end)
    (inputPosition, inputEnd) = (0, end)
  }

  /// The next bytes, at most `count`; fewer, or none, at the end.
  mutating func next(_ count: Int) throws -> [UInt8] {
    guard produced < limit else {
      (isDone, isCut, problem) = (true, true, "it holds more than \(limit) bytes")
      return []
    }
    let wanted = min(count, limit - produced)
    var output = [UInt8](repeating: 0, count: wanted)
    var filled = 0
    while filled < wanted, !isDone {
      try refill()
      let step = decoder.step(input[inputPosition...], into: &output, at: filled)
      inputPosition += step.consumed
      filled += step.produced
      switch step.status {
      case .goesOn:
        guard step.consumed == 0, step.produced == 0 else { continue }
        if inputPosition == input.count, inputEnd == source.byteCount {
          (isDone, problem) = (true, "it is cut off")
        } else if inputPosition < input.count {
          (isDone, problem) = (true, "its compressed bytes are damaged")
        }
      case .ends:
        try refill()
        let rest = input[inputPosition...]
        // Another stream may follow, except in a record of an archive.
        if kind != .deflate, kind != .zlib, Compression.recognize(rest) == kind,
          let another = kind.makeDecoder()
        {
          decoder = another
        } else {
          isDone = true
        }
      case .damaged: (isDone, problem) = (true, "its compressed bytes are damaged")
      case .needsMemory: (isDone, problem) = (true, "it needs too much memory")
      }
    }
    produced += filled
    output.removeLast(wanted - filled)
    return output
  }
}

/// There is no memory for a decoder.
private struct DecoderMemoryError: Diagnostic {
  var kind: DiagnosticKind { .inputOutput }
  var description: String { "there is no memory to decompress with" }
}
