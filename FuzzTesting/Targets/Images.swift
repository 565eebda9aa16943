internal import ImageData

extension FuzzTarget {
  /// Images of all formats.
  static let images: [FuzzTarget] = [
    FuzzTarget("image") { bytes, _ in
      let decoder = ImageDecoder(
        limits: ImageLimits(fileBytes: 1 << 20, pixels: 1 << 16, side: 4096),
        appliesOrientation: bytes.count % 2 == 0)
      let image = try decoder.decode(bytes, name: "x")
      try Fault.unless(
        image.pixels.count == image.width * image.height * 3, "an image has other pixels")
    }
  ]
}
