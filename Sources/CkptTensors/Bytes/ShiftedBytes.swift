internal import CkptPlatform
internal import CkptBytes

/// The elements of a tensor with several elements per byte, whose first element is not at the start
/// of a byte.
///
/// The first element of a byte is in its lowest bits (ATen's
/// `quantize_tensor_per_tensor_affine_sub_byte`). Bits after the last element are 0.
struct ShiftedBytes: ComputedBytes {
  private let source: ByteSource
  /// The offset of the byte that contains the first element.
  private let start: Int
  /// The number of bits of that byte that belong to preceding elements.
  private let shift: Int
  /// A mask of the bits of the last byte that contain elements.
  private let lastMask: UInt8
  let byteCount: Int

  /// Creates a source for the elements of a contiguous tensor with at least one element.
  init(_ tensor: Tensor) {
    let per = tensor.dtype.elementsPerByte
    let bits = 8 / per
    source = tensor.storage.source
    start = tensor.offset / per
    shift = tensor.offset % per * bits
    byteCount = tensor.byteCount
    let used = tensor.elementCount % per * bits
    lastMask = used == 0 ? 0xFF : 0xFF >> UInt8(8 - used)
  }

  var isRandomAccess: Bool { source.isRandomAccess }
  var needsPreparation: Bool { source.needsPreparation }
  func prepare() throws { try source.prepare() }

  func makeReader(at offset: Int) throws -> any ByteReader {
    let reader = try source.makeReader(skippingTo: start + offset)
    return Reader(self, reader, position: offset)
  }

  private final class Reader: ByteReader {
    private let layout: ShiftedBytes
    private let reader: any ByteReader
    private var position: Int
    /// The number of bytes of the source that have not been read.
    private var left: Int
    /// The byte whose upper bits are used next.
    private var held: UInt8?

    init(_ layout: ShiftedBytes, _ reader: any ByteReader, position: Int) {
      self.layout = layout
      self.reader = reader
      self.position = position
      left = layout.source.byteCount - layout.start - position
    }

    func read(into bytes: inout MutableRawSpan) throws {
      guard !bytes.isEmpty else { return }
      if held == nil { held = try next() }
      // Reads the bytes after the one in `held`; after the storage's last byte there are none.
      let count = min(bytes.byteCount, left)
      var part = bytes._mutatingExtracting(..<count)
      try reader.read(into: &part)
      left -= count
      bytes.withUnsafeMutableBytes { buffer in
        for index in buffer.indices {
          let low = held ?? 0
          let high: UInt8 = index < count ? buffer[index] : 0
          buffer[index] = low >> UInt8(layout.shift) | high << UInt8(8 - layout.shift)
          held = high
          position += 1
          if position == layout.byteCount { buffer[index] &= layout.lastMask }
        }
      }
    }

    private func next() throws -> UInt8 {
      let byte = try [UInt8](byteCount: 1) { try reader.read(into: &$0) }
      left -= 1
      return byte[0]
    }
  }
}
