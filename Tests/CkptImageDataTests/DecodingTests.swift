import CkptTestSupport
import ImageData
import Testing

@Suite struct DecodingTests {
  @Test func `There are pictures of all kinds`() throws {
    let fixture = try #require(PictureFixture.all)
    #expect(fixture.pictures.count >= 60)
    let formats = Set(fixture.pictures.values.map(\.format))
    #expect(formats.isSuperset(of: ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "PPM"]))
  }

  @Test(arguments: PictureFixture.names)
  func `A picture is decoded as Pillow decodes it`(name: String) throws {
    let picture = try #require(PictureFixture.all?.pictures[name])
    let image = try ImageDecoder().decode(PictureFixture.path(name))
    #expect(image.width == picture.width && image.height == picture.height)
    #expect(digest(image) == picture.rgb)
  }

  @Test(arguments: PictureFixture.names)
  func `A picture is turned as its EXIF data says if that is asked for`(name: String) throws {
    let picture = try #require(PictureFixture.all?.pictures[name])
    let image = try ImageDecoder(appliesOrientation: true).decode(PictureFixture.path(name))
    #expect(digest(image) == picture.oriented)
  }

  @Test func `A file says what it is before it is decoded`() throws {
    let found = try ImageDecoder().describe(PictureFixture.path("jpeg_exif_6.jpg"))
    #expect(found.format == .jpeg && found.width == 41 && found.height == 29)
    #expect(found.orientation == 6)
    let misnamed = try ImageDecoder().describe(PictureFixture.path("jpeg_named.png"))
    #expect(misnamed.format == .jpeg && misnamed.orientation == 1)
  }

  /// A file that is cut off is an error wherever it is one in Pillow. Where only what follows the pixels is missing, it
  /// may be an error here, too.
  @Test(arguments: PictureFixture.names)
  func `A shortened file is refused, or decoded as Pillow decodes it`(name: String) throws {
    let picture = try #require(PictureFixture.all?.pictures[name])
    let whole = try contents(of: PictureFixture.path(name))
    for shortened in picture.shortened {
      let image = try? ImageDecoder().decode(Array(whole.prefix(shortened.length)), name: name)
      guard let image else {
        #expect(
          shortened.rgb == nil || whole.count - shortened.length < 60,
          "refused at \(shortened.length) of \(whole.count)")
        continue
      }
      #expect(digest(image) == shortened.rgb, "at \(shortened.length) of \(whole.count)")
    }
  }
}
