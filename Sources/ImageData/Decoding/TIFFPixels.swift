internal import CCkptImages

extension TIFFHeader {
  /// Decodes the samples and converts them to RGB.
  ///
  /// - Throws: `ImageError`.
  func decode(_ bytes: FileBytes, limits: ImageLimits) throws(ImageError) -> RGBImage {
    let isRGBFromJPEG = isJPEG && mode == .yCbCr && !isPlanar
    let isRGBA = mode == .yCbCr && !isRGBFromJPEG
    let together = isPlanar && !isRGBA ? 1 : samples
    let planes = isPlanar && !isRGBA ? samples : 1
    let bitsPerPixel = isRGBA ? 32 : together * bits
    let rowBytes = (width * bitsPerPixel + 7) / 8
    let count = rowBytes * height * planes
    var layout = ck_tiff_layout(
      width: UInt32(width), height: UInt32(height), bits_per_pixel: UInt32(bitsPerPixel),
      planes: UInt32(planes), as_rgba: isRGBA ? 1 : 0, jpeg_as_rgb: isRGBFromJPEG ? 1 : 0,
      memory_limit: max(count, blockBytes, 1 << 20))
    var result = ck_image_result()
    let samples = [UInt8](unsafeUninitializedCapacity: count) { target, initialized in
      result = bytes.all.withUnsafeBufferPointer {
        ck_tiff_decode($0.baseAddress, $0.count, &layout, target.baseAddress)
      }
      if result.status == 0 { initialized = count }
    }
    try result.check(.tiff, file: bytes.file)
    let rows = TIFFSamples(
      bytes: samples, rowBytes: rowBytes, height: height, planes: planes, bits: bits,
      samples: isRGBA ? 4 : together)
    let mode = isRGBA ? .rgb(samples: 4, bits: 8) : self.mode
    return RGBImage(width: width, height: height) { target in
      var place = 0
      for y in 0..<height {
        for x in 0..<width {
          let color = color(mode, rows, x, y)
          target[place] = color.0
          target[place + 1] = color.1
          target[place + 2] = color.2
          place += 3
        }
      }
    }
  }

  /// The color of a pixel.
  private func color(
    _ mode: Mode, _ rows: TIFFSamples, _ x: Int, _ y: Int
  ) -> (UInt8, UInt8, UInt8) {
    func gray(_ value: Int) -> (UInt8, UInt8, UInt8) {
      let clipped = UInt8(max(0, min(255, value)))
      return (clipped, clipped, clipped)
    }
    func byte(_ sample: Int) -> UInt8 {
      let value = rows.sample(x, y, sample)
      return UInt8(truncatingIfNeeded: bits == 16 ? value >> 8 : value)
    }
    switch mode {
    case .gray(let bits, let isInverted):
      let value = rows.sample(x, y, 0) * 255 / (1 << bits - 1)
      return gray(isInverted ? 255 - value : value)
    case .gray16(let isSigned):
      let value = rows.sample(x, y, 0)
      return gray(isSigned ? Int(Int16(truncatingIfNeeded: value)) : value)
    case .gray32: return gray(Int(Int32(truncatingIfNeeded: rows.sample(x, y, 0))))
    case .float:
      let value = Float(bitPattern: UInt32(truncatingIfNeeded: rows.sample(x, y, 0)))
      return gray(value >= 255 ? 255 : value > 0 ? Int(value) : 0)
    case .grayWithMore: return gray(Int(byte(0)))
    case .rgb, .yCbCr: return (byte(0), byte(1), byte(2))
    case .premultiplied:
      let alpha = Int(byte(3))
      guard alpha > 0 else { return (0, 0, 0) }
      func divided(_ value: UInt8) -> UInt8 { UInt8(min(255, Int(value) * 255 / alpha)) }
      return (divided(byte(0)), divided(byte(1)), divided(byte(2)))
    case .palette(let bits, _):
      let index = rows.sample(x, y, 0)
      func part(_ color: Int) -> UInt8 {
        UInt8(truncatingIfNeeded: colors[color << bits + index] >> 8)
      }
      return (part(0), part(1), part(2))
    case .cmyk:
      var rgb: (UInt8, UInt8, UInt8) = (0, 0, 0)
      withUnsafeMutableBytes(of: &rgb) { target in
        withUnsafeBytes(of: (byte(0), byte(1), byte(2), byte(3))) { source in
          ck_cmyk_to_rgb(
            source.assumingMemoryBound(to: UInt8.self).baseAddress,
            target.assumingMemoryBound(to: UInt8.self).baseAddress, 1, 0)
        }
      }
      return rgb
    }
  }
}

/// Samples as libtiff returns them: plane by plane, row by row; multi-byte samples in native byte
/// order.
struct TIFFSamples {
  let bytes: [UInt8]
  let rowBytes: Int
  let height: Int
  let planes: Int
  /// The number of bits per sample.
  let bits: Int
  /// The number of interleaved samples.
  let samples: Int

  /// The bits of one sample, as an unsigned integer.
  func sample(_ x: Int, _ y: Int, _ sample: Int) -> Int {
    let plane = planes > 1 ? sample : 0
    let start = (plane * height + y) * rowBytes
    let number = x * samples + (planes > 1 ? 0 : sample)
    if bits < 8 {
      let bit = number * bits
      return Int(bytes[start + bit / 8]) >> (8 - bits - bit % 8) & (1 << bits - 1)
    }
    let at = start + number * (bits / 8)
    if bits == 8 { return Int(bytes[at]) }
    return bytes.withUnsafeBytes {
      bits == 16
        ? Int($0.loadUnaligned(fromByteOffset: at, as: UInt16.self))
        : Int($0.loadUnaligned(fromByteOffset: at, as: UInt32.self))
    }
  }
}
