/// The markers of a JPEG file before the first scan.
struct JPEGHeader {
  /// The width and height in pixels.
  let width: Int, height: Int
  /// The byte range of the EXIF data; nil if there is none.
  let exif: EXIFPlace?
  /// Whether the data is Huffman-coded, as in nearly all files, rather than arithmetically coded.
  private let isHuffman: Bool

  init(_ bytes: FileBytes) throws(ImageError) {
    var exif: EXIFPlace?
    var frame: (width: Int, height: Int, isHuffman: Bool)?
    var place = 2
    while true {
      // Bytes before a marker are skipped, as in libjpeg and Pillow.
      while let byte = bytes.byte(place), byte != 0xFF { place += 1 }
      while bytes.byte(place) == 0xFF { place += 1 }
      guard let marker = bytes.byte(place) else { throw .truncated(file: bytes.file) }
      place += 1
      if marker == 0 || marker == 1 || (0xD0...0xD8).contains(marker) { continue }
      guard marker != 0xD9 else {
        throw .damaged(file: bytes.file, "a JPEG file without a picture")
      }
      guard let length = bytes.big16(place) else { throw .truncated(file: bytes.file) }
      guard length >= 2 else { throw .damaged(file: bytes.file, "a marker of \(length) bytes") }
      if marker == 0xDA { break }
      guard place + length <= bytes.count else { throw .truncated(file: bytes.file) }
      if (0xC0...0xCF).contains(marker), ![0xC4, 0xC8, 0xCC].contains(marker) {
        guard frame == nil else {
          throw .damaged(file: bytes.file, "two headers in one JPEG file")
        }
        frame = try Self.frame(bytes, at: place, length: length, marker: marker)
      } else if marker == 0xE1, exif == nil, bytes.has("Exif\0\0", at: place + 2) {
        exif = place + 2..<place + length
      }
      place += length
    }
    guard let frame else { throw .damaged(file: bytes.file, "a JPEG file without a header") }
    (width, height, isHuffman) = frame
    self.exif = exif
  }

  /// Parses a frame header.
  private static func frame(
    _ bytes: FileBytes, at place: Int, length: Int, marker: Int
  ) throws(ImageError) -> (width: Int, height: Int, isHuffman: Bool) {
    guard length >= 8, let bits = bytes.byte(place + 2), let height = bytes.big16(place + 3),
      let width = bytes.big16(place + 5), let components = bytes.byte(place + 7)
    else { throw .damaged(file: bytes.file, "a JPEG header of \(length) bytes") }
    guard bits == 8 else { throw .unsupported(file: bytes.file, "JPEG of \(bits) bits") }
    guard [1, 3, 4].contains(components) else {
      throw .unsupported(file: bytes.file, "JPEG of \(components) components")
    }
    guard [0xC0, 0xC1, 0xC2, 0xC9, 0xCA].contains(marker) else {
      throw .unsupported(file: bytes.file, "lossless or hierarchical JPEG")
    }
    return (width, height, marker < 0xC8)
  }

  /// Throws `ImageError.truncated` if the file is too short for its width and height, before memory
  /// is allocated: each block of 8 x 8 pixels takes at least one bit.
  func checkSize(of bytes: FileBytes) throws(ImageError) {
    let blocks = ((width + 7) / 8) * ((height + 7) / 8)
    guard !isHuffman || blocks / 8 <= bytes.count else { throw .truncated(file: bytes.file) }
  }
}
