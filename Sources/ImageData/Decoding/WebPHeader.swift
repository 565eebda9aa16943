/// The first chunk of a WebP file.
struct WebPHeader {
  /// The width and height of the canvas in pixels.
  let width: Int, height: Int
  /// The byte range of the EXIF data; nil if there is none.
  let exif: EXIFPlace?

  init(_ bytes: FileBytes) throws(ImageError) {
    guard bytes.count >= 30 || bytes.has("VP8L", at: 12), bytes.count >= 25 else {
      throw .truncated(file: bytes.file)
    }
    if bytes.has("VP8 ", at: 12) {
      guard bytes.has([0x9D, 0x01, 0x2A], at: 23), let width = bytes.little16(26),
        let height = bytes.little16(28)
      else { throw .damaged(file: bytes.file, "a WebP file without a key frame") }
      (self.width, self.height) = (width & 0x3FFF, height & 0x3FFF)
    } else if bytes.has("VP8L", at: 12) {
      guard bytes.byte(20) == 0x2F, let bits = bytes.little32(21) else {
        throw .damaged(file: bytes.file, "a WebP file without a signature")
      }
      (width, height) = (bits & 0x3FFF + 1, bits >> 14 & 0x3FFF + 1)
    } else if bytes.has("VP8X", at: 12) {
      guard let width = bytes.number(24, size: 3, isBigEndian: false),
        let height = bytes.number(27, size: 3, isBigEndian: false)
      else { throw .truncated(file: bytes.file) }
      (self.width, self.height) = (width + 1, height + 1)
    } else {
      throw .damaged(file: bytes.file, "a WebP file without a picture")
    }
    exif = Self.exif(in: bytes)
  }

  private static func exif(in bytes: FileBytes) -> EXIFPlace? {
    var place = 12
    while let length = bytes.little32(place + 4) {
      if bytes.has("EXIF", at: place), place + 8 + length <= bytes.count {
        return place + 8..<place + 8 + length
      }
      place += 8 + length + length & 1
    }
    return nil
  }
}
