internal import CkptBytes
internal import Foundation
internal import ImageData

/// A small copy of a picture, as a URL that holds it.
struct Thumbnail {
  /// The longest that a side may be, in pixels.
  private static let side = 160

  /// The sides, in pixels.
  let width: Int, height: Int
  /// A `data:` URL of a JPEG file.
  let url: String
  /// Whether the picture is so small that its pixels are to be seen.
  var isSmall: Bool { max(width, height) <= 64 }

  /// A small copy of the picture in a file; nil if that cannot be read.
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
