import CkptTestSupport
import Testing

@testable import ImageData

struct JPEGEncoderTests {
  // SHA-256 of what Pillow 13.0.0 writes by `Image.open(file).convert("RGB").save(target, "JPEG", quality=…)`.
  @Test(
    arguments: [
      ("png_rgb.png", 30, "9d5aa891701898c491de375755ecea37dd11ddb8d34cc83410e892b9de482563"),
      ("png_rgb.png", 85, "98e06bdcd52b5b3234304c36b55d23b96df999bb3237db1f0f8b8f580f5564ac"),
      ("jpeg_odd.jpg", 30, "6f0945d51fcc3a035cfbc34d7e10f60ffa2e26f368417683552faa9097a699be"),
      ("jpeg_odd.jpg", 85, "28f19ec33089ede5a716c25e86cc20ec398b91b505b27267d08cdf293b5beb40"),
      (
        "jpeg_one_pixel.jpg", 30, "912c5bd6687308974ad69d1d496f701c9463acf616da86737514b56d7933f1fc"
      ),
      (
        "jpeg_one_pixel.jpg", 85, "4bc2e2cb5fb4e7ef60c290e5cfb1a567f44046b967fb0713a866a0335bc9811c"
      ),
    ])
  func `The file is Pillow's, byte for byte`(name: String, quality: Int, hash: String) throws {
    let image = try ImageDecoder().decode(PictureFixture.path(name))
    #expect(sha256(try JPEGEncoder(quality: quality).encode(image)) == hash)
  }

  /// The root of the mean squared difference of two pictures' bytes.
  private func distance(_ one: RGBImage, _ other: RGBImage) -> Double {
    let squares = zip(one.pixels, other.pixels).reduce(0.0) { sum, pair in
      let difference = Double(pair.0) - Double(pair.1)
      return sum + difference * difference
    }
    return (squares / Double(max(one.pixels.count, 1))).squareRoot()
  }

  /// Colors that change slowly, since 4:2:0 keeps one of four.
  private func gradient(width: Int, height: Int) throws -> RGBImage {
    var pixels: [UInt8] = []
    for y in 0..<height {
      for x in 0..<width {
        pixels += [UInt8(60 + x), UInt8(40 + y), UInt8(200 - (x + y) / 4)]
      }
    }
    return try #require(RGBImage(width: width, height: height, pixels: pixels))
  }

  @Test(arguments: [(1, 1), (7, 3), (16, 16), (17, 160), (160, 1)])
  func `A picture comes back nearly as it was`(width: Int, height: Int) throws {
    let image = try gradient(width: width, height: height)
    let bytes = try JPEGEncoder(quality: 95).encode(image)
    let decoded = try ImageDecoder().decode(bytes, name: "encoded")
    #expect(decoded.width == width && decoded.height == height)
    #expect(distance(decoded, image) < 2)
  }

  @Test func `A lower quality takes fewer bytes, and one beyond the range is its end`() throws {
    let image = try gradient(width: 160, height: 120)
    let counts = try [1, 50, 85, 100].map { try JPEGEncoder(quality: $0).encode(image).count }
    #expect(counts == counts.sorted() && Set(counts).count == 4)
    #expect(try JPEGEncoder(quality: 1000).encode(image).count == counts[3])
    #expect(try JPEGEncoder(quality: -5).encode(image).count == counts[0])
  }

  @Test func `Noise, which takes most, has room`() throws {
    var state: UInt32 = 1
    let pixels = (0..<3 * 33 * 31).map { _ in
      state = state &* 1_664_525 &+ 1_013_904_223
      return UInt8(truncatingIfNeeded: state >> 24)
    }
    let image = try #require(RGBImage(width: 33, height: 31, pixels: pixels))
    let bytes = try JPEGEncoder(quality: 100).encode(image)
    #expect(try ImageDecoder().decode(bytes, name: "encoded").width == 33)
  }

  @Test func `A buffer that is too small is an error, whatever its size`() throws {
    let image = try gradient(width: 40, height: 30)
    let bytes = try JPEGEncoder().encode(image)
    for capacity in 1...bytes.count {
      #expect(throws: ImageError.tooLarge(file: "picture", "no memory for it")) {
        try JPEGEncoder().encode(image, capacity: capacity)
      }
    }
    #expect(try JPEGEncoder().encode(image, capacity: bytes.count + 1) == bytes)
  }

  @Test func `A picture without pixels is no file`() {
    #expect(throws: ImageError.self) { try JPEGEncoder().encode(RGBImage()) }
  }
}
