internal import CCkptImages

/// Resizes parts of images, byte for byte like Pillow; reuses its memory for each image.
struct Resizer {
  private var horizontal = ResizeWeights()
  private var vertical = ResizeWeights()
  private var between: [UInt8] = []
  private var row: [UInt8] = []

  /// Crops an image to `box`, then resizes it to `size`.
  mutating func resized(
    _ image: RGBImage, box: PixelRectangle, to size: PixelSize, filter: ResizeFilter
  ) -> RGBImage {
    if box.width == size.width, box.height == size.height { return image.cropped(to: box) }
    if filter == .nearest { return nearest(image, box: box, to: size) }
    let needsRows = box.width != size.width
    let needsColumns = box.height != size.height
    if needsRows { horizontal.compute(from: box.width, to: size.width, filter: filter) }
    if needsColumns { vertical.compute(from: box.height, to: size.height, filter: filter) }
    let stride = image.width * 3
    let start = box.top * stride + box.left * 3
    return RGBImage(width: size.width, height: size.height) { target in
      image.pixels.withUnsafeBufferPointer { pixels in
        guard let first = pixels.baseAddress.map({ $0 + start }), let out = target.baseAddress
        else { return }
        // The order of the passes, as in Pillow.
        let columnsFirst =
          box.height > size.height && box.height - size.height > (box.width - size.width) * 2
        if !needsColumns {
          resizeRows(first, stride, box.width, box.height, out, size.width)
        } else if !needsRows {
          resizeColumns(first, stride, box.width, out, size.height, from: 0)
        } else if columnsFirst {
          withBetween(box.width * size.height * 3) { resizer, between in
            resizer.resizeColumns(first, stride, box.width, between, size.height, from: 0)
            resizer.resizeRows(between, box.width * 3, box.width, size.height, out, size.width)
          }
        } else {
          // Only the rows that the second pass needs are computed.
          let used = vertical.inputs
          withBetween(size.width * used.count * 3) { resizer, between in
            resizer.resizeRows(
              first + used.lowerBound * stride, stride, box.width, used.count, between, size.width)
            resizer.resizeColumns(
              between, size.width * 3, size.width, out, size.height, from: used.lowerBound)
          }
        }
      }
    }
  }

  /// Calls `body` with memory for the image between the two passes.
  private mutating func withBetween(
    _ count: Int, _ body: (inout Resizer, UnsafeMutablePointer<UInt8>) -> Void
  ) {
    var lent = between
    between = []
    if lent.count < count { lent = [UInt8](repeating: 0, count: count) }
    lent.withUnsafeMutableBufferPointer { buffer in
      if let start = buffer.baseAddress { body(&self, start) }
    }
    between = lent
  }

  private mutating func resizeRows(
    _ source: UnsafePointer<UInt8>, _ stride: Int, _ width: Int, _ rows: Int,
    _ target: UnsafeMutablePointer<UInt8>, _ newWidth: Int
  ) {
    if row.count < width * 4 + 32 { row = [UInt8](repeating: 0, count: width * 4 + 32) }
    row.withUnsafeMutableBufferPointer { row in
      horizontal.withWeights {
        ck_resize_rows(
          source, stride, Int32(width), Int32(rows), target, Int32(newWidth), $0, row.baseAddress)
      }
    }
  }

  private func resizeColumns(
    _ source: UnsafePointer<UInt8>, _ stride: Int, _ width: Int,
    _ target: UnsafeMutablePointer<UInt8>, _ newHeight: Int, from first: Int
  ) {
    vertical.withWeights(from: first) {
      ck_resize_columns(source, stride, Int32(width * 3), target, Int32(newHeight), $0)
    }
  }

  private func nearest(_ image: RGBImage, box: PixelRectangle, to size: PixelSize) -> RGBImage {
    let columns = nearestPlaces(box.width, size.width)
    let rows = nearestPlaces(box.height, size.height)
    return RGBImage(width: size.width, height: size.height) { target in
      image.pixels.withUnsafeBufferPointer { source in
        var place = 0
        for row in rows {
          let start = ((box.top + row) * image.width + box.left) * 3
          for column in columns {
            for color in 0..<3 { target[place + color] = source[start + column * 3 + color] }
            place += 3
          }
        }
      }
    }
  }

  /// The nearest input pixel for each output pixel, computed by adding steps as in Pillow.
  private func nearestPlaces(_ size: Int, _ outputs: Int) -> [Int] {
    let step = Double(size) / Double(outputs)
    var place = step * 0.5
    return (0..<outputs).map { _ in
      defer { place += step }
      return min(size - 1, Int(place))
    }
  }
}

extension RGBImage {
  /// The part of the image in `box`.
  func cropped(to box: PixelRectangle) -> RGBImage {
    if box == PixelRectangle(of: self) { return self }
    return RGBImage(width: box.width, height: box.height) { target in
      pixels.withUnsafeBufferPointer { source in
        for y in 0..<box.height {
          let start = ((box.top + y) * width + box.left) * 3
          let row = UnsafeMutableBufferPointer(
            rebasing: target[y * box.width * 3..<(y + 1) * box.width * 3])
          _ = row.update(fromContentsOf: source[start..<start + box.width * 3])
        }
      }
    }
  }

  /// The image resized to `size`, byte for byte like Pillow.
  ///
  /// - Throws: `ImageError.badRequest` if a side is not positive, or the result is too large.
  public func resized(
    to size: PixelSize, filter: ResizeFilter = .bilinear
  ) throws(ImageError) -> RGBImage {
    try size.check()
    var resizer = Resizer()
    return resizer.resized(self, box: PixelRectangle(of: self), to: size, filter: filter)
  }

  /// The image resized so that the shorter side is `side` pixels long, with torchvision's rounding.
  ///
  /// - Throws: `ImageError.badRequest` if `side` is not positive, or the result is too large.
  public func resized(
    shorterSide side: Int, filter: ResizeFilter = .bilinear
  ) throws(ImageError) -> RGBImage {
    try resized(to: try shortened(to: side), filter: filter)
  }

  /// The size with the same aspect ratio whose shorter side is `side`; the longer side is truncated
  /// to an integer.
  func shortened(to side: Int) throws(ImageError) -> PixelSize {
    guard width > 0, height > 0, side > 0 else {
      throw .badRequest("a shorter side of \(side) pixels")
    }
    let (short, long) = (min(width, height), max(width, height))
    let (product, isTooLarge) = side.multipliedReportingOverflow(by: long)
    guard !isTooLarge else { throw .badRequest("a shorter side of \(side) pixels") }
    // As in torchvision: a float64 quotient, truncated.
    let other = Int(Double(product) / Double(short))
    let size =
      width <= height
      ? PixelSize(height: other, width: side) : PixelSize(height: side, width: other)
    try size.check()
    return size
  }

  /// The center of the image, padded with black if it is smaller than `size`, like torchvision's
  /// `CenterCrop`.
  ///
  /// - Throws: `ImageError.badRequest` if a side is not positive, or the result is too large.
  public func centerCropped(to size: PixelSize) throws(ImageError) -> RGBImage {
    try size.check()
    let padded = padded(atLeast: size)
    let top = (Double(padded.height - size.height) / 2).rounded(.toNearestOrEven)
    let left = (Double(padded.width - size.width) / 2).rounded(.toNearestOrEven)
    return padded.cropped(
      to: PixelRectangle(
        top: Int(top), left: Int(left), height: size.height, width: size.width))
  }

  private func padded(atLeast size: PixelSize) -> RGBImage {
    guard width < size.width || height < size.height else { return self }
    let before = (
      top: max(0, size.height - height) / 2, left: max(0, size.width - width) / 2
    )
    let newWidth = max(width, size.width)
    return RGBImage(width: newWidth, height: max(height, size.height)) { target in
      target.update(repeating: 0)
      for y in 0..<height {
        for i in 0..<width * 3 {
          target[((before.top + y) * newWidth + before.left) * 3 + i] = pixels[y * width * 3 + i]
        }
      }
    }
  }

  /// The image mirrored horizontally.
  public func flippedHorizontally() -> RGBImage { oriented(2) }
}

extension PixelSize {
  /// The maximum number of pixels in a resized image.
  static let mostPixels = 1 << 28

  /// Throws `ImageError.badRequest` if a side is not positive, or the size is too large.
  func check() throws(ImageError) {
    guard height > 0, width > 0 else { throw .badRequest("a picture of \(width) x \(height)") }
    let (area, isTooLarge) = height.multipliedReportingOverflow(by: width)
    guard !isTooLarge, area <= Self.mostPixels else {
      throw .badRequest("a picture of \(width) x \(height) pixels is too large")
    }
  }
}
