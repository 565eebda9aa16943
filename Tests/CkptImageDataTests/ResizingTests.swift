import CkptTestSupport
import Testing

@testable import ImageData

@Suite struct ResizingTests {
  @Test(arguments: PictureFixture.names)
  func `Resize and CenterCrop give Pillow's bytes`(name: String) throws {
    let picture = try #require(PictureFixture.all?.pictures[name])
    let image = try ImageDecoder().decode(PictureFixture.path(name))
    let expected = [picture.bilinear, picture.bicubic, picture.nearest]
    for (filter, expected) in zip([ResizeFilter.bilinear, .bicubic, .nearest], expected) {
      let resized = try image.resized(shorterSide: 256, filter: filter)
      #expect(digest(try resized.centerCropped(to: PixelSize(224))) == expected, "\(filter)")
    }
    let middle = try image.centerCropped(to: PixelSize(height: 25, width: 32))
    #expect(digest(middle) == picture.center_crop)
  }

  @Test(arguments: PictureFixture.names)
  func `Crops that are resized and flipped are Pillow's`(name: String) throws {
    let picture = try #require(PictureFixture.all?.pictures[name])
    let image = try ImageDecoder().decode(PictureFixture.path(name))
    var resizer = Resizer()
    #expect(picture.crops.count == 10)
    for crop in picture.crops {
      let box = PixelRectangle(
        top: crop.box[0], left: crop.box[1], height: crop.box[2], width: crop.box[3])
      let size = PixelSize(height: crop.size[0], width: crop.size[1])
      let found = resizer.resized(image, box: box, to: size, filter: .bilinear)
      #expect(digest(crop.flipped ? found.flippedHorizontally() : found) == crop.rgb, "\(crop)")
    }
  }

  @Test func `Sides that make no sense are refused`() throws {
    let image = try #require(RGBImage(width: 1, height: 1, pixels: [1, 2, 3]))
    #expect(throws: ImageError.self) { try image.resized(to: PixelSize(0)) }
    #expect(throws: ImageError.self) { try image.resized(to: PixelSize(1 << 40)) }
    #expect(throws: ImageError.self) { try image.resized(shorterSide: -1) }
    #expect(throws: ImageError.self) { try image.centerCropped(to: PixelSize(Int.max)) }
    #expect(RGBImage(width: Int.max, height: Int.max, pixels: []) == nil)
  }
}
