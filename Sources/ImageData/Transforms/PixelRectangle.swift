/// A part of a picture, in whole pixels.
public struct PixelRectangle: Sendable, Hashable, Codable {
  /// The first row and the first column.
  public var top: Int, left: Int
  /// How many rows and columns.
  public var height: Int, width: Int

  /// A part of a picture.
  public init(top: Int, left: Int, height: Int, width: Int) {
    self.top = top
    self.left = left
    self.height = height
    self.width = width
  }

  /// All of a picture.
  init(of image: RGBImage) {
    self.init(top: 0, left: 0, height: image.height, width: image.width)
  }

  /// Whether it has pixels, and all of them lie in a picture.
  func isInside(_ image: RGBImage) -> Bool {
    top >= 0 && left >= 0 && height > 0 && width > 0 && top <= image.height - height
      && left <= image.width - width
  }
}

/// Sides in pixels.
public struct PixelSize: Sendable, Hashable, Codable {
  /// How many rows and columns.
  public var height: Int, width: Int

  /// Sides.
  public init(height: Int, width: Int) {
    self.height = height
    self.width = width
  }

  /// A square.
  public init(_ side: Int) { self.init(height: side, width: side) }
}
