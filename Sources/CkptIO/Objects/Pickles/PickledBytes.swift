internal import CkptBytes
internal import CkptPlatform

/// Bytes in a graph's pool, without copying them.
struct HeldBytes: ComputedBytes {
  let bytes: ArraySlice<UInt8>

  init(_ bytes: ArraySlice<UInt8>) { self.bytes = bytes }

  var byteCount: Int { bytes.count }
  var isRandomAccess: Bool { true }

  /// The number of bytes that the text represents, if it is valid UTF-8 and contains only Latin-1
  /// characters; nil otherwise.
  var latin1Count: Int? {
    var decoder = Latin1Decoder()
    guard let count = decoder.count(bytes), decoder.isComplete else { return nil }
    return count
  }

  func makeReader(at offset: Int) throws -> any ByteReader {
    Reader(rest: bytes[(bytes.startIndex + offset)...])
  }

  private final class Reader: ByteReader {
    private var rest: ArraySlice<UInt8>

    init(rest: ArraySlice<UInt8>) { self.rest = rest }

    func read(into target: inout MutableRawSpan) throws {
      guard target.byteCount <= rest.count else { throw BytesEndEarly() }
      target.copy(rest.prefix(target.byteCount))
      rest = rest.dropFirst(target.byteCount)
    }
  }
}

/// Bytes that a pickle represents as text, in which each Latin-1 character is a byte.
struct Latin1Bytes: ComputedBytes {
  /// The text in UTF-8.
  private let text: ByteSource
  let byteCount: Int

  /// Creates a source of the bytes that `text` represents; whether their number is `byteCount` is
  /// checked when they are read.
  init(_ text: ByteSource, byteCount: Int) {
    self.text = text
    self.byteCount = byteCount
  }

  var isRandomAccess: Bool { false }

  func makeReader(at offset: Int) throws -> any ByteReader {
    Reader(try text.makeReader(at: 0), left: text.byteCount, byteCount: byteCount)
  }

  /// The number of bytes that `text` represents.
  ///
  /// - Throws: `Latin1Error` if it is invalid; what reading throws.
  static func count(_ text: ByteSource) throws -> Int {
    var (decoder, count) = (Latin1Decoder(), 0)
    try text.forEachBlock(of: 64 << 10) { block, _ in
      guard let part = block.withUnsafeBytes({ decoder.count($0) }) else { throw Latin1Error() }
      count += part
    }
    guard decoder.isComplete else { throw Latin1Error() }
    return count
  }

  private final class Reader: ByteReader {
    private let text: any ByteReader
    private var left: Int
    private var wanted: Int
    private var decoder = Latin1Decoder()
    private var block = [UInt8](repeating: 0, count: 64 << 10)
    private var unread = 0..<0

    init(_ text: any ByteReader, left: Int, byteCount: Int) {
      self.text = text
      self.left = left
      wanted = byteCount
    }

    func read(into target: inout MutableRawSpan) throws {
      guard target.byteCount <= wanted else { throw BytesEndEarly() }
      var done = 0
      while done < target.byteCount {
        if unread.isEmpty { try refill() }
        var index = unread.lowerBound
        while index < unread.upperBound, done < target.byteCount {
          switch decoder.decode(block[index]) {
          case .character(let byte):
            target.storeBytes(of: byte, toByteOffset: done, as: UInt8.self)
            done += 1
          case .half: break
          case .wrong: throw Latin1Error()
          }
          index += 1
        }
        unread = index..<unread.upperBound
      }
      wanted -= target.byteCount
      // At the end, nothing may be left.
      if wanted == 0, !unread.isEmpty || left > 0 || !decoder.isComplete { throw Latin1Error() }
    }

    private func refill() throws {
      let size = min(block.count, left)
      guard size > 0 else { throw Latin1Error() }
      try block.withMutableSpan { block in
        var bytes = block.mutableBytes
        var part = bytes._mutatingExtracting(..<size)
        try text.read(into: &part)
      }
      left -= size
      unread = 0..<size
    }
  }
}

/// Decodes UTF-8 with only the 256 characters of Latin-1.
private struct Latin1Decoder {
  enum Step {
    case character(UInt8)
    case half
    case wrong
  }

  private var lead: UInt8 = 0

  /// Whether the last character is complete.
  var isComplete: Bool { lead == 0 }

  /// Decodes one more byte.
  mutating func decode(_ byte: UInt8) -> Step {
    if lead != 0 {
      defer { lead = 0 }
      return byte & 0xC0 == 0x80 ? .character(lead << 6 | byte & 0x3F) : .wrong
    }
    switch byte {
    case 0..<0x80: return .character(byte)
    case 0xC2, 0xC3:
      lead = byte
      return .half
    default: return .wrong
    }
  }

  /// The number of characters that `bytes` complete; nil if one is not in Latin-1.
  mutating func count(_ bytes: some Sequence<UInt8>) -> Int? {
    var count = 0
    for byte in bytes {
      switch decode(byte) {
      case .character: count += 1
      case .half: break
      case .wrong: return nil
      }
    }
    return count
  }
}

/// The error for text that should represent bytes, but has other characters or the wrong length.
struct Latin1Error: Diagnostic {
  let kind = DiagnosticKind.badInput
  let description =
    "the text that stands for an array's bytes in the pickle is not as long as the array, or no Latin-1"
}

/// The error for reading beyond the end of the bytes.
struct BytesEndEarly: Diagnostic {
  let kind = DiagnosticKind.badInput
  let description = "an array's bytes end early in the pickle"
}
