/// The chunks of a PNG file before the pixels.
struct PNGHeader {
  /// The width and height in pixels.
  let width: Int, height: Int
  /// The byte range of the EXIF data; nil if there is none before the pixels.
  let exif: EXIFPlace?
  private let bitsPerPixel: Int

  init(_ bytes: FileBytes) throws(ImageError) {
    guard bytes.has("IHDR", at: 12), bytes.big32(8) == 13 else {
      if bytes.count < 16 { throw .truncated(file: bytes.file) }
      throw .damaged(file: bytes.file, "a PNG file without a header")
    }
    guard let width = bytes.big32(16), let height = bytes.big32(20),
      let depth = bytes.byte(24), let type = bytes.byte(25), bytes.count >= 33
    else { throw .truncated(file: bytes.file) }
    let samples = [0: 1, 2: 3, 3: 1, 4: 2, 6: 4][type] ?? 0
    let allowed =
      switch type {
      case 0: [1, 2, 4, 8, 16]
      case 3: [1, 2, 4, 8]
      default: [8, 16]
      }
    guard samples > 0, allowed.contains(depth) else {
      throw .damaged(file: bytes.file, "a PNG header of type \(type) with \(depth) bits")
    }
    self.width = width
    self.height = height
    bitsPerPixel = samples * depth
    exif = Self.exif(in: bytes)
  }

  private static func exif(in bytes: FileBytes) -> EXIFPlace? {
    var place = 33
    while let length = bytes.big32(place), !bytes.has("IDAT", at: place + 4) {
      if bytes.has("eXIf", at: place + 4), place + 8 + length <= bytes.count {
        return place + 8..<place + 8 + length
      }
      place += length + 12
    }
    return nil
  }

  /// Throws `ImageError.truncated` if the file is too short for its width and height, before memory
  /// is allocated: deflate compresses at most 1032 bytes into one.
  func checkSize(of bytes: FileBytes) throws(ImageError) {
    let rowBytes = (width * bitsPerPixel + 7) / 8 + 1
    guard rowBytes / 1032 * height <= bytes.count, rowBytes * height / 1040 <= bytes.count else {
      throw .truncated(file: bytes.file)
    }
  }
}
