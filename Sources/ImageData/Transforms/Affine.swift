#if canImport(Darwin)
  internal import Darwin
#elseif canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#endif

/// An affine map from output to input pixels: column `a x + b y + c`, row `d x + e y + f`.
struct AffineMap {
  var a: Double, b: Double, c: Double
  var d: Double, e: Double, f: Double

  /// The inverse of a shear by angles (x, y) in radians about `center` and a translation, computed
  /// like torchvision's `_get_inverse_affine_matrix`.
  static func inverse(
    center: (Double, Double), translation: (Double, Double), shear: (Double, Double)
  ) -> AffineMap {
    let (x, y) = shear
    let rotation = 0.0
    let a = cos(rotation - y) / cos(y)
    let b = -cos(rotation - y) * tan(x) / cos(y) - sin(rotation)
    let c = sin(rotation - y) / cos(y)
    let d = -sin(rotation - y) * tan(x) / cos(y) + cos(rotation)
    var map = AffineMap(a: d, b: -b, c: 0, d: -c, e: a, f: 0)
    let back = (-center.0 - translation.0, -center.1 - translation.1)
    map.c += map.a * back.0 + map.b * back.1
    map.f += map.d * back.0 + map.e * back.1
    map.c += center.0
    map.f += center.1
    return map
  }

  /// A shear by the angles with the given tangents, converted to degrees and back as in
  /// torchvision.
  static func sheared(x: Double = 0, y: Double = 0) -> AffineMap {
    func angle(_ tangent: Double) -> Double { atan(tangent) * (180 / .pi) * (.pi / 180) }
    return inverse(center: (0, 0), translation: (0, 0), shear: (angle(x), angle(y)))
  }

  /// Whether all coordinates of an image of this size fit in 16 integer bits.
  func isFixed(width: Int, height: Int) -> Bool {
    [(0, 0), (width, height), (0, height), (width, 0)].allSatisfy { x, y in
      abs(Double(x) * a + Double(y) * b + c) < 32768
        && abs(Double(x) * d + Double(y) * e + f) < 32768
    }
  }
}

extension RGBImage {
  /// Transforms the image, with nearest-neighbor sampling and black outside. Uses Pillow's
  /// arithmetic: fixed-point numbers with 16 fractional bits, or float64 if the map does not rotate
  /// or shear or the image is too large.
  func affine(_ map: AffineMap) -> RGBImage {
    let isScaling = map.b == 0 && map.d == 0
    let isFixed = !isScaling && map.isFixed(width: width, height: height)
    return RGBImage(width: width, height: height) { target in
      target.update(repeating: 0)
      pixels.withUnsafeBufferPointer { source in
        if isFixed {
          fillFixed(target, source, map)
        } else {
          fillFloating(target, source, map)
        }
      }
    }
  }

  private func fillFixed(
    _ target: UnsafeMutableBufferPointer<UInt8>, _ source: UnsafeBufferPointer<UInt8>,
    _ map: AffineMap
  ) {
    func fixed(_ value: Double) -> Int { Int((value * 65536 + 0.5).rounded(.down)) }
    let steps = (x: fixed(map.a), y: fixed(map.d))
    var start = (
      x: fixed(map.c + map.a * 0.5 + map.b * 0.5), y: fixed(map.f + map.d * 0.5 + map.e * 0.5)
    )
    for row in 0..<height {
      var place = start
      for column in 0..<width {
        copy(source, from: (place.x >> 16, place.y >> 16), to: (column, row), target)
        place.x += steps.x
        place.y += steps.y
      }
      start.x += fixed(map.b)
      start.y += fixed(map.e)
    }
  }

  private func fillFloating(
    _ target: UnsafeMutableBufferPointer<UInt8>, _ source: UnsafeBufferPointer<UInt8>,
    _ map: AffineMap
  ) {
    func whole(_ value: Double) -> Int { value < 0 ? -1 : value < 1e9 ? Int(value) : -1 }
    var start = (x: map.c + map.b * 0.5 + map.a * 0.5, y: map.f + map.e * 0.5 + map.d * 0.5)
    for row in 0..<height {
      var place = start
      for column in 0..<width {
        copy(source, from: (whole(place.x), whole(place.y)), to: (column, row), target)
        place.x += map.a
        place.y += map.d
      }
      start.x += map.b
      start.y += map.e
    }
  }

  private func copy(
    _ source: UnsafeBufferPointer<UInt8>, from: (x: Int, y: Int), to: (x: Int, y: Int),
    _ target: UnsafeMutableBufferPointer<UInt8>
  ) {
    guard from.x >= 0, from.x < width, from.y >= 0, from.y < height else { return }
    for color in 0..<3 {
      target[(to.y * width + to.x) * 3 + color] = source[(from.y * width + from.x) * 3 + color]
    }
  }

  /// Rotates the image counter-clockwise about its center, like Pillow's `rotate`.
  func rotated(degrees: Double) -> RGBImage {
    var turn = degrees.truncatingRemainder(dividingBy: 360)
    if turn < 0 { turn += 360 }
    if turn == 0 { return self }
    let angle = -(turn * (.pi / 180))
    func rounded(_ value: Double) -> Double { (value * 1e15).rounded(.toNearestOrEven) / 1e15 }
    var map = AffineMap(
      a: rounded(cos(angle)), b: rounded(sin(angle)), c: 0,
      d: rounded(-sin(angle)), e: rounded(cos(angle)), f: 0)
    let center = (Double(width) / 2, Double(height) / 2)
    map.c = map.a * -center.0 + map.b * -center.1 + 0
    map.f = map.d * -center.0 + map.e * -center.1 + 0
    map.c += center.0
    map.f += center.1
    return affine(map)
  }
}
