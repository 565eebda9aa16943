extension BMPHeader {
  /// Decodes the pixels.
  ///
  /// - Throws: `ImageError.truncated`.
  func decode(_ bytes: FileBytes) throws(ImageError) -> RGBImage {
    switch storage {
    case .rows: try decodeRows(bytes)
    case .runs: try decodeRuns(bytes)
    }
  }

  private func decodeRows(_ bytes: FileBytes) throws(ImageError) -> RGBImage {
    let stride = (width * bits + 31) / 32 * 4
    let used = (width * bits + 7) / 8
    // The last row may lack its padding.
    guard pixels <= bytes.count, stride * (height - 1) + used <= bytes.count - pixels else {
      throw .truncated(file: bytes.file)
    }
    let shifts = masks.map { $0.trailingZeroBitCount }
    return RGBImage(width: width, height: height) { target in
      bytes.all.withUnsafeBufferPointer { source in
        for y in 0..<height {
          let row = pixels + stride * (isTopDown ? y : height - 1 - y)
          var place = y * width * 3
          for x in 0..<width {
            switch bits {
            case 1, 4, 8:
              let bit = x * bits
              let index = Int(source[row + bit / 8]) >> (8 - bits - bit % 8) & (1 << bits - 1)
              for color in 0..<3 { target[place + color] = palette[index * 3 + color] }
            default:
              var value = 0
              for i in 0..<bits / 8 { value |= Int(source[row + x * bits / 8 + i]) << (i * 8) }
              for color in 0..<3 {
                let most = masks[color] >> shifts[color]
                let part = (value & masks[color]) >> shifts[color]
                target[place + color] = UInt8(truncatingIfNeeded: part * 255 / most)
              }
            }
            place += 3
          }
        }
      }
    }
  }

  private func decodeRuns(_ bytes: FileBytes) throws(ImageError) -> RGBImage {
    let indices = try self.indices(bytes)
    return RGBImage(width: width, height: height) { target in
      for y in 0..<height {
        let row = (isTopDown ? y : height - 1 - y) * width
        for x in 0..<width {
          let index = Int(indices[row + x])
          for color in 0..<3 { target[(y * width + x) * 3 + color] = palette[index * 3 + color] }
        }
      }
    }
  }

  /// Decodes run-length encoded indices, bottom row first, as Pillow does.
  private func indices(_ bytes: FileBytes) throws(ImageError) -> [UInt8] {
    let wanted = width * height
    var found: [UInt8] = []
    var (place, x) = (pixels, 0)
    while found.count < wanted {
      guard let count = bytes.byte(place), let value = bytes.byte(place + 1) else { break }
      place += 2
      if count > 0 {
        let given = min(count, max(0, width - x))
        for i in 0..<given { found.append(index(value, i)) }
        x += given
        continue
      }
      switch value {
      case 0:
        while found.count % width != 0 { found.append(0) }
        x = 0
      case 1:
        // At the end of the image, all pixels must have been read.
        guard found.count >= wanted else { throw .truncated(file: bytes.file) }
      case 2:
        guard let right = bytes.byte(place), let up = bytes.byte(place + 1) else {
          throw .truncated(file: bytes.file)
        }
        place += 2
        found.append(
          contentsOf: repeatElement(0, count: min(wanted - found.count, right + up * width)))
        x = found.count % width
      default:
        let given = min(wanted - found.count, value)
        let byteCount = bits == 4 ? (given + 1) / 2 : given
        guard place + byteCount <= bytes.count else { throw .truncated(file: bytes.file) }
        for i in 0..<given {
          found.append(index(Int(bytes.all[place + (bits == 4 ? i / 2 : i)]), i))
        }
        place += byteCount
        x += value
        // Runs begin at even offsets.
        place += place & 1
      }
    }
    guard found.count >= wanted else { throw .truncated(file: bytes.file) }
    return found
  }

  /// The index number `i` in a byte; of two 4-bit indices, the upper one comes first.
  private func index(_ byte: Int, _ i: Int) -> UInt8 {
    UInt8(truncatingIfNeeded: bits == 8 ? byte : i % 2 == 0 ? byte >> 4 : byte & 15)
  }
}
