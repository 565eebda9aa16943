internal import CkptBytes
internal import CkptPlatform

/// Finds the signatures with which the structures of an archive begin, and computes the checksum of
/// the bytes before each. The file is read once, in blocks.
struct SignatureScan {
  private let file: File
  private let end: Int
  private var block: [UInt8] = []
  private var blockStart: Int
  /// The index in the block from which the search continues.
  private var next = 0
  /// The checksum of the bytes before the file offset `summed`.
  private var sum: UInt32 = 0
  private var summed: Int

  /// Creates a scan of a byte range.
  init(_ file: File, in range: Range<Int>) {
    self.file = file
    end = range.upperBound
    blockStart = range.lowerBound
    summed = range.lowerBound
  }

  /// The CRC-32 of the bytes from the start of the range to the last occurrence.
  var checksum: UInt32 { sum }

  /// The file offset of the next occurrence; nil at the end of the range.
  ///
  /// - Throws: `FileError`; `CancelledError`.
  mutating func next(_ cancellation: Cancellation) throws -> Int? {
    while true {
      if let index = indexOfSignature() {
        addToChecksum(upTo: index)
        next = index + 1
        return blockStart + index
      }
      // The last bytes may begin a signature that continues in the next block.
      let keeps = min(block.count, Self.byteCount - 1)
      let start = blockStart + block.count - keeps
      guard start + keeps < end else { return nil }
      addToChecksum(upTo: block.count - keeps)
      try cancellation.check()
      block = try file.bytes(at: start, count: min(ByteSource.blockSize, end - start))
      blockStart = start
      next = 0
    }
  }

  private mutating func addToChecksum(upTo index: Int) {
    let from = summed - blockStart
    guard index > from else { return }
    let sum = sum
    self.sum = block.withRawSpan { Checksum.crc32($0.extracting(from..<index), from: sum) }
    summed = blockStart + index
  }

  private func indexOfSignature() -> Int? {
    guard block.count >= Self.byteCount else { return nil }
    let start = next
    return block.withRawSpan { bytes in
      var index = start
      while index <= bytes.byteCount - Self.byteCount {
        if bytes.unsafeLoad(fromByteOffset: index, as: UInt8.self) == 0x50,
          Self.isSignature(bytes.unsafeLoadUnaligned(fromByteOffset: index, as: UInt32.self))
        {
          return index
        }
        index += 1
      }
      return nil
    }
  }

  private static let byteCount = 4

  private static func isSignature(_ bytes: UInt32) -> Bool {
    switch Int(UInt32(littleEndian: bytes)) {
    case LocalHeader.signature, LocalHeader.directorySignature, LocalHeader.descriptorSignature,
      0x0605_4B50, 0x0606_4B50:
      true
    default: false
    }
  }
}
