/// The header of a BMP file.
struct BMPHeader {
  /// How pixels are stored.
  enum Storage: Hashable {
    /// Uncompressed rows, each padded to a multiple of four bytes.
    case rows
    /// Run-length encoded indices of 8 or 4 bits.
    case runs
  }

  /// The width and height in pixels.
  let width: Int, height: Int
  /// Whether the first stored row is the top one.
  let isTopDown: Bool
  /// The number of bits per pixel.
  let bits: Int
  let storage: Storage
  /// The bit masks of red, green, and blue in a pixel of 16, 24, or 32 bits.
  let masks: [Int]
  /// The offset of the pixels.
  let pixels: Int
  /// The red, green, and blue values of each index.
  let palette: [UInt8]

  init(_ bytes: FileBytes) throws(ImageError) {
    guard let offset = bytes.little32(10), let size = bytes.little32(14), bytes.count >= 14 + size
    else { throw .truncated(file: bytes.file) }
    guard [12, 40, 52, 56, 64, 108, 124].contains(size) else {
      throw .unsupported(file: bytes.file, "BMP with a header of \(size) bytes")
    }
    let isOld = size == 12
    var height: Int
    if isOld {
      width = bytes.little16(18) ?? 0
      height = bytes.little16(20) ?? 0
      isTopDown = false
      bits = bytes.little16(24) ?? 0
    } else {
      width = bytes.little32(18) ?? 0
      height = bytes.little32(22) ?? 0
      isTopDown = bytes.byte(25) == 0xFF
      bits = bytes.little16(28) ?? 0
    }
    if isTopDown { height = 1 << 32 - height }
    self.height = height
    guard [1, 4, 8, 16, 24, 32].contains(bits) else {
      throw .unsupported(file: bytes.file, "BMP of \(bits) bits")
    }
    let compression = isOld ? 0 : bytes.little32(30) ?? 0
    storage = compression == 1 || compression == 2 ? .runs : .rows
    var end = 14 + size
    switch compression {
    case 0: masks = bits == 16 ? [0x7C00, 0x3E0, 0x1F] : [0xFF0000, 0xFF00, 0xFF]
    case 3:
      var found: [Int] = []
      for color in 0..<3 { found.append(bytes.little32(54 + color * 4) ?? 0) }
      if size == 40 { end += 12 }
      if bits == 32, found == [0, 0, 0] { found = [0xFF0000, 0xFF00, 0xFF] }
      guard Self.isKnown(found, bits: bits) else {
        throw .unsupported(file: bytes.file, "BMP with such masks of colors")
      }
      masks = found
    case 1 where bits == 8, 2 where bits == 4: masks = []
    default:
      throw .unsupported(file: bytes.file, "BMP of compression \(compression) with \(bits) bits")
    }
    var colorCount = isOld ? 0 : bytes.little32(46) ?? 0
    if colorCount == 0 { colorCount = 1 << bits }
    let padding = isOld ? 3 : 4
    // Some writers give the offset of the palette instead.
    pixels =
      offset == 14 + size && bits <= 8
      ? offset + padding * colorCount
      : offset == 0 ? end : offset
    palette = bits > 8 ? [] : try Self.palette(bytes, at: end, count: colorCount, padding: padding)
  }

  private static func isKnown(_ masks: [Int], bits: Int) -> Bool {
    switch bits {
    case 32:
      [
        [0xFF0000, 0xFF00, 0xFF], [0xFF00_0000, 0xFF0000, 0xFF00], [0xFF00_0000, 0xFF00, 0xFF],
        [0xFF, 0xFF00, 0xFF0000],
      ].contains(masks)
    case 24: masks == [0xFF0000, 0xFF00, 0xFF]
    case 16: masks == [0xF800, 0x7E0, 0x1F] || masks == [0x7C00, 0x3E0, 0x1F]
    default: false
    }
  }

  private static func palette(
    _ bytes: FileBytes, at start: Int, count: Int, padding: Int
  ) throws(ImageError) -> [UInt8] {
    guard count <= 65536 else {
      throw .unsupported(file: bytes.file, "BMP with \(count) colors")
    }
    var palette = [UInt8](repeating: 0, count: 768)
    for index in 0..<min(count, 256) {
      for color in 0..<3 {
        guard let value = bytes.byte(start + index * padding + 2 - color) else { continue }
        palette[index * 3 + color] = UInt8(value)
      }
    }
    // Indices without a color are black, unless the palette is a gray ramp, which Pillow drops.
    let ramp = (0..<768).map { UInt8($0 / 3) }
    let given = min(count, 256) * 3
    return palette[..<given] == ramp[..<given] ? ramp : palette
  }
}
