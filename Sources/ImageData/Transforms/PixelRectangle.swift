/// A rectangle in an image, in whole pixels.
public struct PixelRectangle: Sendable, Hashable, Codable {
  /// The first row, and the first column.
  public var top: Int, left: Int
  /// The number of rows, and of columns.
  public var height: Int, width: Int

  /// Creates a rectangle.
  public init(top: Int, left: Int, height: Int, width: Int) {
    self.top = top
    self.left = left
    self.height = height
    self.width = width
  }

  /// Creates the rectangle of a whole image.
  init(of image: RGBImage) {
    self.init(top: 0, left: 0, height: image.height, width: image.width)
  }

  /// Whether the rectangle is not empty and lies within an image.
  func isInside(_ image: RGBImage) -> Bool {
    top >= 0 && left >= 0 && height > 0 && width > 0 && top <= image.height - height
      && left <= image.width - width
  }
}

/// A height and a width in pixels.
public struct PixelSize: Sendable, Hashable, Codable {
  /// The number of rows, and of columns.
  public var height: Int, width: Int

  /// Creates a size from a height and a width.
  public init(height: Int, width: Int) {
    self.height = height
    self.width = width
  }

  /// Creates a square size.
  public init(_ side: Int) { self.init(height: side, width: side) }
}
