/// A picture in memory: rows from the top, pixels from the left, three bytes each (red, green, blue).
public struct RGBImage: Sendable, Hashable {
  /// How many pixels a row has.
  public private(set) var width: Int
  /// How many rows there are.
  public private(set) var height: Int
  /// Red, green and blue of each pixel; `3 * width * height` bytes.
  public private(set) var pixels: [UInt8]

  /// A picture of no pixels.
  public init() {
    width = 0
    height = 0
    pixels = []
  }

  /// A picture of given pixels, or nil if their number is not that of the sides.
  public init?(width: Int, height: Int, pixels: [UInt8]) {
    guard let count = Self.byteCount(width: width, height: height), count == pixels.count else {
      return nil
    }
    self.width = width
    self.height = height
    self.pixels = pixels
  }

  /// A picture of these sides whose bytes `fill` writes, each of them.
  init(
    width: Int, height: Int,
    fill: (UnsafeMutableBufferPointer<UInt8>) throws(ImageError) -> Void
  ) throws(ImageError) {
    let count = Self.byteCount(width: width, height: height) ?? 0
    self.width = width
    self.height = height
    var failure: ImageError?
    pixels = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      do throws(ImageError) {
        try fill(UnsafeMutableBufferPointer(rebasing: buffer[..<count]))
        initialized = count
      } catch {
        failure = error
      }
    }
    if let failure { throw failure }
  }

  /// A picture of these sides whose bytes `fill` writes, each of them.
  init(width: Int, height: Int, fill: (UnsafeMutableBufferPointer<UInt8>) -> Void) {
    let count = Self.byteCount(width: width, height: height) ?? 0
    self.width = width
    self.height = height
    pixels = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      fill(UnsafeMutableBufferPointer(rebasing: buffer[..<count]))
      initialized = count
    }
  }

  /// The number of bytes of a picture, or nil if the sides make no sense.
  static func byteCount(width: Int, height: Int) -> Int? {
    guard width >= 0, height >= 0 else { return nil }
    let (area, isTooLarge) = width.multipliedReportingOverflow(by: height)
    let (count, isFarTooLarge) = area.multipliedReportingOverflow(by: 3)
    return isTooLarge || isFarTooLarge ? nil : count
  }

  /// The picture with each byte replaced by what a table of 3 x 256 values says of its color and value.
  func mapped(_ table: [UInt8]) -> RGBImage {
    guard table.count == 768 else { return self }
    var mapped = self
    for start in stride(from: 0, to: pixels.count, by: 3) {
      mapped.pixels[start] = table[Int(pixels[start])]
      mapped.pixels[start + 1] = table[256 + Int(pixels[start + 1])]
      mapped.pixels[start + 2] = table[512 + Int(pixels[start + 2])]
    }
    return mapped
  }
}
