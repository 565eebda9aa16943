/// An RGB image in memory: rows from top to bottom, pixels from left to right, three bytes per
/// pixel (red, green, blue).
public struct RGBImage: Sendable, Hashable {
  /// The width in pixels.
  public private(set) var width: Int
  /// The height in pixels.
  public private(set) var height: Int
  /// The red, green, and blue values of each pixel; `3 * width * height` bytes.
  public private(set) var pixels: [UInt8]

  /// Creates an image without pixels.
  public init() {
    width = 0
    height = 0
    pixels = []
  }

  /// Creates an image from its pixels; nil if their number does not match the width and height.
  public init?(width: Int, height: Int, pixels: [UInt8]) {
    guard let count = Self.byteCount(width: width, height: height), count == pixels.count else {
      return nil
    }
    self.width = width
    self.height = height
    self.pixels = pixels
  }

  /// Creates an image whose bytes are written by `fill`, which must write all of them.
  ///
  /// - Throws: what `fill` throws.
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

  /// Creates an image whose bytes are written by `fill`, which must write all of them.
  init(width: Int, height: Int, fill: (UnsafeMutableBufferPointer<UInt8>) -> Void) {
    let count = Self.byteCount(width: width, height: height) ?? 0
    self.width = width
    self.height = height
    pixels = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      fill(UnsafeMutableBufferPointer(rebasing: buffer[..<count]))
      initialized = count
    }
  }

  /// The number of bytes of an image; nil if a side is negative or the number overflows.
  static func byteCount(width: Int, height: Int) -> Int? {
    guard width >= 0, height >= 0 else { return nil }
    let (area, isTooLarge) = width.multipliedReportingOverflow(by: height)
    let (count, isFarTooLarge) = area.multipliedReportingOverflow(by: 3)
    return isTooLarge || isFarTooLarge ? nil : count
  }

  /// The image with each byte replaced through a table of 3 x 256 entries, indexed by channel and
  /// value.
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
