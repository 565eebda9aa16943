/// The largest files and images that are decoded; checked against the header before any pixel is
/// decoded.
public struct ImageLimits: Sendable, Hashable {
  /// The maximum file size in bytes.
  public var fileBytes: Int
  /// The maximum number of pixels.
  public var pixels: Int
  /// The maximum width and height in pixels.
  public var side: Int

  /// Creates limits; by default files of 1 GiB, twice 89,478,485 pixels (where Pillow raises an
  /// error), and sides of a million pixels.
  public init(fileBytes: Int = 1 << 30, pixels: Int = 2 * 89_478_485, side: Int = 1_000_000) {
    self.fileBytes = fileBytes
    self.pixels = pixels
    self.side = side
  }

  /// Checks the width and height of a header.
  ///
  /// - Throws: `ImageError.damaged` for a side that is not positive, `.tooLarge`.
  func check(width: Int, height: Int, file: String) throws(ImageError) {
    guard width > 0, height > 0 else {
      throw .damaged(file: file, "a side of \(min(width, height)) pixels")
    }
    guard width <= side, height <= side else {
      throw .tooLarge(
        file: file, "\(width) x \(height) pixels; the longest side allowed is \(side)")
    }
    let (area, isTooLarge) = width.multipliedReportingOverflow(by: height)
    guard !isTooLarge, area <= pixels else {
      throw .tooLarge(file: file, "\(width) x \(height) pixels; \(pixels) are allowed")
    }
  }
}
