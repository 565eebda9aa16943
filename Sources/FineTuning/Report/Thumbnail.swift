internal import CkptBytes
internal import Foundation
internal import ImageData

/// A small copy of an image, as a `data:` URL.
struct Thumbnail {
  /// The maximum length of a side, in pixels.
  private static let side = 160

  /// The width and height of the copy, in pixels.
  let width: Int, height: Int
  /// The `data:` URL of a JPEG file.
  let url: String
  /// Whether the image is so small that it is enlarged without smoothing.
  var isSmall: Bool { max(width, height) <= 64 }

  /// Creates a copy of the image in a file; nil if it cannot be read.
  init?(of path: String, decoder: ImageDecoder) {
    do {
      var image = try decoder.decode(path)
      let longest = max(image.width, image.height)
      if longest > Self.side {
        let scale = Double(Self.side) / Double(longest)
        func shortened(_ side: Int) -> Int {
          max(1, Int(saturating: (Double(side) * scale).rounded()))
        }
        image = try image.resized(
          to: PixelSize(height: shortened(image.height), width: shortened(image.width)))
      }
      width = image.width
      height = image.height
      let bytes = try JPEGEncoder().encode(image)
      url = "data:image/jpeg;base64," + Data(bytes).base64EncodedString()
    } catch {
      return nil
    }
  }
}
