extension RGBImage {
  /// The image with its hues rotated by a fraction of the color circle from -0.5 to 0.5. Computed
  /// in 8-bit HSV, like Pillow's.
  func withHue(_ part: Double) -> RGBImage {
    let shift = UInt8(truncatingIfNeeded: Int(max(-0.5, min(0.5, part)) * 255))
    return RGBImage(width: width, height: height) { target in
      for place in stride(from: 0, to: pixels.count, by: 3) {
        var color = HSV(pixels[place], pixels[place + 1], pixels[place + 2])
        color.hue &+= shift
        (target[place], target[place + 1], target[place + 2]) = color.rgb
      }
    }
  }
}

/// Hue, saturation, and value with 8 bits each, converted with the arithmetic of Pillow's
/// `Convert.c`, a mix of float32 and float64.
private struct HSV {
  var hue: UInt8
  var saturation: UInt8
  var value: UInt8

  init(_ red: UInt8, _ green: UInt8, _ blue: UInt8) {
    let (most, least) = (max(red, green, blue), min(red, green, blue))
    value = most
    guard most > least else {
      (hue, saturation) = (0, 0)
      return
    }
    let range = Float(most - least)
    let (r, g, b) = (
      Float(most - red) / range, Float(most - green) / range, Float(most - blue) / range
    )
    let sixths: Float =
      if red == most {
        b - g
      } else if green == most {
        Float(2.0 + Double(r) - Double(b))
      } else {
        Float(4.0 + Double(g) - Double(r))
      }
    let turn = Float((Double(sixths) / 6.0 + 1.0).truncatingRemainder(dividingBy: 1))
    hue = UInt8(max(0, min(255, Double(turn) * 255)))
    saturation = UInt8(max(0, min(255, Double(range / Float(most)) * 255)))
  }

  var rgb: (UInt8, UInt8, UInt8) {
    guard saturation > 0 else { return (value, value, value) }
    let sixths = Double(Float(hue)) * 6.0 / 255.0
    let sector = sixths.rounded(.down)
    let rest = Float(sixths - Double(Float(sector)))
    let share = Float(Double(Float(saturation)) / 255.0)
    func part(_ factor: Double) -> UInt8 {
      UInt8(max(0, min(255, (Double(Float(value)) * factor).rounded(.toNearestOrAwayFromZero))))
    }
    let low = part(1.0 - Double(share))
    let falling = part(1.0 - Double(share * rest))
    let rising = part(1.0 - Double(share) * (1.0 - Double(rest)))
    switch Int(sector) % 6 {
    case 0: return (value, rising, low)
    case 1: return (falling, value, low)
    case 2: return (low, value, rising)
    case 3: return (low, falling, value)
    case 4: return (rising, low, value)
    default: return (value, low, falling)
    }
  }
}
