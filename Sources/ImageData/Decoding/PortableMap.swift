/// The header of a PBM, PGM, or PPM file, and the decoding of its pixels, as Pillow reads them.
struct PortableMapHeader {
  /// The width and height in pixels.
  let width: Int, height: Int
  /// The digit of the signature: 1 for bitmaps, 2 for grayscale, 3 for color; plus 3 for binary
  /// instead of text.
  private let kind: Int
  /// The sample value that stands for white.
  private let white: Int
  /// The offset of the pixels.
  private let start: Int

  init(_ bytes: FileBytes) throws(ImageError) {
    kind = (bytes.byte(1) ?? 0) - 0x30
    guard let separator = bytes.byte(2), Self.isSpace(separator) else {
      throw .damaged(file: bytes.file, "no space after the kind of the PNM file")
    }
    var place = 3
    width = try Self.number(bytes, &place)
    height = try Self.number(bytes, &place)
    white = kind % 3 == 1 ? 1 : try Self.number(bytes, &place)
    guard (1...65535).contains(white) else {
      throw .damaged(file: bytes.file, "\(white) as white in a PNM file")
    }
    start = place
  }

  private static func isSpace(_ byte: Int) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }

  /// Reads the next number of the header and the whitespace character after it.
  private static func number(_ bytes: FileBytes, _ place: inout Int) throws(ImageError) -> Int {
    var value: Int?
    while let byte = bytes.byte(place) {
      place += 1
      if byte == 0x23 {
        while let byte = bytes.byte(place), byte != 0x0A, byte != 0x0D { place += 1 }
        place += 1
      } else if isSpace(byte) {
        if value != nil { break }
      } else {
        guard (0x30...0x39).contains(byte), (value ?? 0) < 1_000_000_000 else {
          throw .damaged(file: bytes.file, "no number where a PNM header has one")
        }
        value = (value ?? 0) * 10 + byte - 0x30
      }
    }
    guard let value else { throw .truncated(file: bytes.file) }
    return value
  }

  /// Decodes the pixels.
  ///
  /// - Throws: `ImageError.truncated`, `.damaged`.
  func decode(_ bytes: FileBytes) throws(ImageError) -> RGBImage {
    let samples = width * height * (kind % 3 == 0 ? 3 : 1)
    // A sample takes at least one byte, or one bit in a binary bitmap.
    let least =
      kind == 4 ? (width + 7) / 8 * height : kind > 4 && white > 255 ? samples * 2 : samples
    guard bytes.count - start >= least else { throw .truncated(file: bytes.file) }
    let values = kind < 4 ? try text(bytes, count: samples) : raw(bytes, count: samples)
    return RGBImage(width: width, height: height) { target in
      for i in 0..<target.count { target[i] = kind % 3 == 0 ? values[i] : values[i / 3] }
    }
  }

  /// The samples of a binary file, scaled to 8 bits.
  private func raw(_ bytes: FileBytes, count: Int) -> [UInt8] {
    if kind == 4 {
      let rowBytes = (width + 7) / 8
      return (0..<count).map {
        let byte = bytes.all[start + $0 / width * rowBytes + $0 % width / 8]
        return byte >> (7 - UInt8($0 % width % 8)) & 1 == 1 ? 0 : 255
      }
    }
    if white == 255 { return Array(bytes.all[start..<start + count]) }
    return (0..<count).map {
      let value =
        white < 256
        ? Int(bytes.all[start + $0])
        : Int(bytes.all[start + $0 * 2]) << 8 | Int(bytes.all[start + $0 * 2 + 1])
      return scaled(value)
    }
  }

  /// A sample scaled to 8 bits; 16-bit grayscale is clipped to 255, as in Pillow.
  private func scaled(_ value: Int) -> UInt8 {
    let most = white > 255 && kind % 3 == 2 ? 65535 : 255
    let scaled = (Double(value) / Double(white) * Double(most)).rounded(.toNearestOrEven)
    return UInt8(min(255, scaled))
  }

  /// The samples of a text file, scaled to 8 bits.
  private func text(_ bytes: FileBytes, count: Int) throws(ImageError) -> [UInt8] {
    var values: [UInt8] = []
    values.reserveCapacity(count)
    var place = start
    var number: Int?
    while values.count < count {
      let byte = bytes.byte(place)
      place += 1
      if byte == 0x23 {
        while let byte = bytes.byte(place), byte != 0x0A, byte != 0x0D { place += 1 }
        place += 1
      } else if let byte, (0x30...0x39).contains(byte) {
        if kind == 1 {
          guard byte < 0x32 else {
            throw .damaged(file: bytes.file, "a number that is no bit in a PBM file")
          }
          values.append(byte == 0x31 ? 0 : 255)
        } else {
          number = (number ?? 0) * 10 + byte - 0x30
          guard let number, number <= white else {
            throw .damaged(file: bytes.file, "a number above white in a PNM file")
          }
        }
      } else if byte.map(Self.isSpace) ?? true {
        if let value = number { values.append(scaled(value)) }
        number = nil
        guard byte != nil || values.count >= count else { throw .truncated(file: bytes.file) }
      } else {
        throw .damaged(file: bytes.file, "no number where a PNM file has one")
      }
    }
    return values
  }
}
