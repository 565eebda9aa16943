internal import CCkptImages

/// Turns pictures into JPEG files, as Pillow's `save(quality=…)` does.
package struct JPEGEncoder: Sendable, Hashable {
  /// How good the copy is, from 1 to 100.
  package var quality: Int

  /// An encoder.
  package init(quality: Int = 85) { self.quality = quality }

  /// The bytes of a file that holds the picture.
  ///
  /// - Throws: `ImageError` where a side is 0 or beyond the 65,500 pixels that the library takes.
  package func encode(_ image: RGBImage) throws(ImageError) -> [UInt8] {
    guard 1...65_500 ~= image.width, 1...65_500 ~= image.height else {
      throw .badRequest("a JPEG file of \(image.width) x \(image.height) pixels")
    }
    // The most that a file can take: 6 bytes a pixel in whole blocks of 16 x 16, and the headers.
    func padded(_ side: Int) -> Int { (side + 15) / 16 * 16 }
    let capacity = 6 * padded(image.width) * padded(image.height) + 2048
    var result = ck_image_result()
    let bytes = [UInt8](unsafeUninitializedCapacity: capacity) { buffer, initialized in
      var count = capacity
      result = image.pixels.withUnsafeBufferPointer {
        ck_jpeg_encode(
          $0.baseAddress, UInt32(image.width), UInt32(image.height),
          Int32(min(max(quality, 1), 100)), buffer.baseAddress, &count)
      }
      initialized = UInt32(bitPattern: result.status) == CK_IMAGE_OK.rawValue ? count : 0
    }
    try result.check(.jpeg, file: "picture")
    return bytes
  }
}
