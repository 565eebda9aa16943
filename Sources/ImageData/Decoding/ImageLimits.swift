/// How large a picture may be; its header is held against this before anything is decoded.
public struct ImageLimits: Sendable, Hashable {
  /// The most bytes of a file.
  public var fileBytes: Int
  /// The most pixels of a picture.
  public var pixels: Int
  /// The longest side.
  public var side: Int

  /// Limits; by default 1 GiB a file, twice 89,478,485 pixels, where Pillow's error begins, and sides of
  /// a million pixels.
  public init(fileBytes: Int = 1 << 30, pixels: Int = 2 * 89_478_485, side: Int = 1_000_000) {
    self.fileBytes = fileBytes
    self.pixels = pixels
    self.side = side
  }

  /// Checks the sides that a header names.
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
