internal import CCkptImages

/// Encodes images as JPEG files, byte for byte as Pillow's `save(quality=…)` does.
package struct JPEGEncoder: Sendable, Hashable {
  /// The quality, from 1 to 100, on libjpeg's scale; values beyond are taken as the nearest end.
  package var quality: Int

  /// Creates an encoder.
  package init(quality: Int = 85) { self.quality = quality }

  /// The bytes of a file that holds the image.
  ///
  /// - Throws: `ImageError.badRequest` if a side is 0 or more than 65,500 pixels, the library's
  ///   limit; `ImageError.tooLarge` if there is no memory.
  package func encode(_ image: RGBImage) throws(ImageError) -> [UInt8] {
    guard 1...65_500 ~= image.width, 1...65_500 ~= image.height else {
      throw .badRequest("a JPEG file of \(image.width) x \(image.height) pixels")
    }
    // The most that a file can take: 6 bytes a pixel in whole blocks of 16 x 16, and the headers.
    func padded(_ side: Int) -> Int { (side + 15) / 16 * 16 }
    return try encode(image, capacity: 6 * padded(image.width) * padded(image.height) + 2048)
  }

  /// Encodes an image to a file that must take fewer bytes than `capacity`.
  ///
  /// - Throws: `ImageError.tooLarge` if it takes as many or more.
  func encode(_ image: RGBImage, capacity: Int) throws(ImageError) -> [UInt8] {
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
