/// The first directory of a TIFF file.
struct TIFFHeader {
  /// How samples are converted to colors; named like Pillow's modes.
  enum Mode: Hashable {
    /// One sample of 1, 2, 4, or 8 bits; inverted if 0 is white.
    case gray(bits: Int, isInverted: Bool)
    /// One 16-bit integer, signed or unsigned, clipped to the range from 0 to 255.
    case gray16(isSigned: Bool)
    /// One 32-bit integer, clipped to the range from 0 to 255.
    case gray32
    /// One float32, clipped to the range from 0 to 255.
    case float
    /// Samples of 8 or 16 bits; the first three are red, green, and blue.
    case rgb(samples: Int, bits: Int)
    /// Red, green, and blue, multiplied by alpha, and alpha; 8 or 16 bits.
    case premultiplied(bits: Int)
    /// Gray in the first of several 8-bit samples.
    case grayWithMore(samples: Int)
    /// Palette indices of 1, 2, 4, or 8 bits, possibly followed by alpha.
    case palette(bits: Int, samples: Int)
    case cmyk(samples: Int)
    case yCbCr
  }

  /// The width and height in pixels as stored, before the orientation is applied.
  let width: Int, height: Int
  /// The orientation from 1 to 8.
  let orientation: Int
  let mode: Mode
  /// The number of bits per sample, and of samples per pixel.
  let bits: Int, samples: Int
  /// Whether each sample is stored in a separate plane.
  let isPlanar: Bool
  /// Whether the data is JPEG-compressed.
  let isJPEG: Bool
  /// The size of a tile in bytes, which may exceed the image; 0 for strips.
  let blockBytes: Int
  /// The palette: all red values, then green, then blue, 16 bits each.
  let colors: [Int]

  init(_ bytes: FileBytes) throws(ImageError) {
    let tags = try TIFFTags(bytes)
    func one(_ tag: Int) -> Int? { tags[tag].first }
    guard let width = one(256), let height = one(257) else {
      throw .damaged(file: bytes.file, "a TIFF file without its sides")
    }
    self.width = width
    self.height = height
    orientation = one(274).flatMap { (1...8).contains($0) ? $0 : nil } ?? 1
    let compression = one(259) ?? 1
    guard [1, 2, 3, 4, 5, 7, 8, 32773, 32946].contains(compression) else {
      throw .unsupported(file: bytes.file, "TIFF of compression \(compression)")
    }
    isJPEG = compression == 7
    isPlanar = one(284) == 2
    let samples = one(277) ?? 1
    guard (1...8).contains(samples) else {
      throw .unsupported(file: bytes.file, "TIFF of \(samples) samples a pixel")
    }
    let depths = tags[258].isEmpty ? [1] : tags[258]
    guard let bits = depths.first, Set(depths.prefix(samples)).count == 1,
      depths.count >= samples || depths.count == 1, [1, 2, 4, 8, 16, 32].contains(bits)
    else { throw .unsupported(file: bytes.file, "TIFF of samples of \(depths) bits") }
    self.bits = bits
    self.samples = samples
    let format = tags[339].isEmpty ? 1 : (Set(tags[339]).count == 1 ? tags[339][0] : 0)
    colors = tags[320]
    let key = Key(
      isBigEndian: tags.isBigEndian, photometric: one(262) ?? 0, format: format,
      extra: tags[338], isPlanar: isPlanar)
    guard let mode = key.mode(bits: bits, samples: samples), samples == 1 || bits >= 8 else {
      throw .unsupported(
        file: bytes.file, "TIFF of photometric \(one(262) ?? 0), \(samples) x \(bits) bits")
    }
    if case .palette = mode, colors.count < 3 << bits {
      throw .damaged(file: bytes.file, "a TIFF palette of \(colors.count) numbers")
    }
    self.mode = mode
    let (tileArea, isTooLarge) = (one(322) ?? 0).multipliedReportingOverflow(by: one(323) ?? 0)
    guard !isTooLarge, tileArea <= 1 << 26 else {
      throw .tooLarge(file: bytes.file, "a TIFF tile of \(one(322) ?? 0) x \(one(323) ?? 0)")
    }
    blockBytes = tileArea * samples * bits / 8
  }

  /// The tags that decide the mode, as in Pillow's `TiffImagePlugin.OPEN_INFO`.
  private struct Key {
    let isBigEndian: Bool
    let photometric: Int
    let format: Int
    let extra: [Int]
    let isPlanar: Bool

    func mode(bits: Int, samples: Int) -> Mode? {
      let alpha = extra.first
      switch (photometric, bits, samples) {
      case (0...1, 1...8, 1) where format == 1 || format == 2 && photometric == 1 && bits == 8:
        return .gray(bits: bits, isInverted: photometric == 0)
      case (1, 16, 1) where format <= 2, (0, 16, 1) where format == 1 && !isBigEndian:
        return .gray16(isSigned: format == 2)
      case (1, 32, 1) where format == 2 || format == 1 && !isBigEndian: return .gray32
      case (0...1, 32, 1) where format == 3: return .float
      case (1, 8, 2) where format == 1 && extra.count == 1: return .grayWithMore(samples: 2)
      case (2, 8, 3...6) where format == 1, (2, 16, 3...4) where format == 1:
        if samples == 4, alpha == 1 { return .premultiplied(bits: bits) }
        guard samples <= 4 || extra.count == samples - 3 else { return nil }
        return .rgb(samples: samples, bits: bits)
      case (3, 1...8, 1) where format == 1: return .palette(bits: bits, samples: 1)
      case (3, 8, 2) where format == 1 && extra.count == 1: return .palette(bits: 8, samples: 2)
      case (5, 8, 4...6) where format == 1: return .cmyk(samples: samples)
      case (6, 8, 3) where format == 1: return .yCbCr
      default: return nil
      }
    }
  }
}

/// The integer tags of a TIFF file's first directory that are used here.
struct TIFFTags {
  /// Whether the file is big-endian.
  let isBigEndian: Bool
  private var values: [Int: [Int]] = [:]

  init(_ bytes: FileBytes) throws(ImageError) {
    isBigEndian = bytes.has("MM")
    let big = isBigEndian
    guard let offset = bytes.number(4, size: 4, isBigEndian: big),
      let count = bytes.number(offset, size: 2, isBigEndian: big),
      offset + 2 + count * 12 <= bytes.count
    else { throw .truncated(file: bytes.file) }
    let wanted: Set = [256, 257, 258, 259, 262, 266, 274, 277, 284, 320, 322, 323, 338, 339]
    for entry in 0..<count {
      let at = offset + 2 + entry * 12
      guard let tag = bytes.number(at, size: 2, isBigEndian: big), wanted.contains(tag),
        let type = bytes.number(at + 2, size: 2, isBigEndian: big),
        let length = bytes.number(at + 4, size: 4, isBigEndian: big),
        let size = [1: 1, 3: 2, 4: 4][type]
      else { continue }
      guard length <= 1 << 16 else {
        throw .damaged(file: bytes.file, "a TIFF tag of \(length) numbers")
      }
      let isInside = length * size <= 4
      guard let outside = bytes.number(at + 8, size: 4, isBigEndian: big) else {
        throw .truncated(file: bytes.file)
      }
      let start = isInside ? at + 8 : outside
      var numbers: [Int] = []
      for i in 0..<length {
        guard let number = bytes.number(start + i * size, size: size, isBigEndian: big) else {
          throw .truncated(file: bytes.file)
        }
        numbers.append(number)
      }
      values[tag] = numbers
    }
  }

  /// The values of a tag; empty if it is missing.
  subscript(tag: Int) -> [Int] { values[tag] ?? [] }
}
