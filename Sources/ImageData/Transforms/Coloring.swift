extension RGBImage {
  /// The luminance of a pixel, Pillow's mode "L".
  private static func gray(_ red: UInt8, _ green: UInt8, _ blue: UInt8) -> UInt8 {
    UInt8(
      truncatingIfNeeded: (Int(red) * 19595 + Int(green) * 38470 + Int(blue) * 7471 + 0x8000) >> 16)
  }

  /// Blends another image with this one: other + `factor` * (this - other), with the arithmetic of
  /// Pillow's `Blend.c`. `other` returns the color at a pixel's byte offset.
  func blended(
    _ factor: Float, with other: (Int) -> (UInt8, UInt8, UInt8)
  ) -> RGBImage {
    if factor == 1 { return self }
    return RGBImage(width: width, height: height) { target in
      for place in stride(from: 0, to: pixels.count, by: 3) {
        let base = other(place)
        target[place] = Self.blended(base.0, pixels[place], factor)
        target[place + 1] = Self.blended(base.1, pixels[place + 1], factor)
        target[place + 2] = Self.blended(base.2, pixels[place + 2], factor)
      }
    }
  }

  private static func blended(_ from: UInt8, _ to: UInt8, _ factor: Float) -> UInt8 {
    let value = Float(from) + factor * Float(Int(to) - Int(from))
    return value <= 0 ? 0 : value >= 255 ? 255 : UInt8(value)
  }

  /// Changes the saturation; 0 gives grayscale, 1 the original.
  func withColor(_ factor: Float) -> RGBImage {
    blended(factor) { place in
      let gray = Self.gray(pixels[place], pixels[place + 1], pixels[place + 2])
      return (gray, gray, gray)
    }
  }

  /// Changes the contrast; 0 gives uniform gray of the mean luminance, 1 the original.
  func withContrast(_ factor: Float) -> RGBImage {
    var sum = 0
    for place in stride(from: 0, to: pixels.count, by: 3) {
      sum += Int(Self.gray(pixels[place], pixels[place + 1], pixels[place + 2]))
    }
    let mean = UInt8(Double(sum) / Double(width * height) + 0.5)
    return blended(factor) { _ in (mean, mean, mean) }
  }

  /// Changes the sharpness; 0 gives Pillow's `SMOOTH` filter, 1 the original.
  func withSharpness(_ factor: Float) -> RGBImage {
    let smooth = smoothed()
    return blended(factor) { place in
      (smooth.pixels[place], smooth.pixels[place + 1], smooth.pixels[place + 2])
    }
  }

  /// Blurs the image with a 3 x 3 filter in float32; pixels at the border are unchanged.
  private func smoothed() -> RGBImage {
    guard width >= 3, height >= 3 else { return self }
    let (one, five) = (Float(1) / 13, Float(5) / 13)
    return RGBImage(width: width, height: height) { target in
      _ = target.update(fromContentsOf: pixels)
      for y in 1..<height - 1 {
        for place in (y * width + 1) * 3..<(y * width + width - 1) * 3 {
          func row(_ middle: Int, _ weight: Float) -> Float {
            Float(pixels[middle - 3]) * one + Float(pixels[middle]) * weight
              + Float(pixels[middle + 3]) * one
          }
          var sum: Float = 0.5
          sum += row(place + width * 3, one)
          sum += row(place, five)
          sum += row(place - width * 3, one)
          target[place] = UInt8(max(0, min(255, sum)))
        }
      }
    }
  }

  /// The number of pixels for each channel and value: 3 x 256 counts.
  private func histogram() -> [Int] {
    var counts = [Int](repeating: 0, count: 768)
    for place in stride(from: 0, to: pixels.count, by: 3) {
      for color in 0..<3 { counts[color * 256 + Int(pixels[place + color])] += 1 }
    }
    return counts
  }

  /// Stretches each channel so that its minimum is 0 and its maximum is 255.
  func withFullContrast() -> RGBImage {
    let counts = histogram()
    var table: [UInt8] = []
    for color in 0..<3 {
      let values = (0..<256).filter { counts[color * 256 + $0] > 0 }
      guard let low = values.first, let high = values.last, high > low else {
        table += (0..<256).map { UInt8($0) }
        continue
      }
      let scale = 255.0 / Double(high - low)
      let offset = Double(-low) * scale
      table += (0..<256).map { UInt8(max(0, min(255, Int(Double($0) * scale + offset)))) }
    }
    return mapped(table)
  }

  /// Equalizes the histogram of each channel.
  func equalized() -> RGBImage {
    let counts = histogram()
    var table: [UInt8] = []
    for color in 0..<3 {
      let part = counts[color * 256..<(color + 1) * 256]
      let found = part.filter { $0 > 0 }
      let step = (found.reduce(0, +) - (found.last ?? 0)) / 255
      guard found.count > 1, step > 0 else {
        table += (0..<256).map { UInt8($0) }
        continue
      }
      var sum = step / 2
      for count in part {
        table.append(UInt8(min(255, sum / step)))
        sum += count
      }
    }
    return mapped(table)
  }
}
