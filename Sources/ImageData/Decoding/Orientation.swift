/// The byte range of a file's EXIF data, which is in TIFF format.
typealias EXIFPlace = Range<Int>

extension FileBytes {
  /// The orientation in EXIF data, from 1 to 8; nil if there is none or the data is invalid.
  func orientation(inEXIF place: EXIFPlace) -> Int? {
    var start = place.lowerBound
    if has("Exif\0\0", at: start) { start += 6 }
    let isBigEndian = has("MM", at: start)
    guard isBigEndian || has("II", at: start), start + 8 <= place.upperBound,
      let offset = number(start + 4, size: 4, isBigEndian: isBigEndian)
    else { return nil }
    let directory = start + offset
    guard let count = number(directory, size: 2, isBigEndian: isBigEndian) else { return nil }
    for entry in 0..<count {
      let at = directory + 2 + entry * 12
      guard at + 12 <= place.upperBound else { return nil }
      guard number(at, size: 2, isBigEndian: isBigEndian) == 0x0112 else { continue }
      // The value is a 16-bit or 32-bit integer.
      let type = number(at + 2, size: 2, isBigEndian: isBigEndian)
      let value = number(at + 8, size: type == 4 ? 4 : 2, isBigEndian: isBigEndian)
      return value.flatMap { type == 3 || type == 4 ? $0 : nil }
        .flatMap { (1...8).contains($0) ? $0 : nil }
    }
    return nil
  }
}

extension RGBImage {
  /// The image rotated and mirrored by an EXIF orientation.
  func oriented(_ orientation: Int) -> RGBImage {
    guard (2...8).contains(orientation) else { return self }
    let swapsSides = orientation >= 5
    let (width, height) = (self.width, self.height)
    return RGBImage(width: swapsSides ? height : width, height: swapsSides ? width : height) {
      target in
      pixels.withUnsafeBufferPointer { source in
        var place = 0
        for y in 0..<(swapsSides ? width : height) {
          for x in 0..<(swapsSides ? height : width) {
            let (column, row) =
              switch orientation {
              case 2: (width - 1 - x, y)
              case 3: (width - 1 - x, height - 1 - y)
              case 4: (x, height - 1 - y)
              case 5: (y, x)
              case 6: (y, height - 1 - x)
              case 7: (width - 1 - y, height - 1 - x)
              default: (width - 1 - y, x)
              }
            let from = (row * width + column) * 3
            for color in 0..<3 { target[place + color] = source[from + color] }
            place += 3
          }
        }
      }
    }
  }
}
