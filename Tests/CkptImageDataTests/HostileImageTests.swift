import CkptTestSupport
import Foundation
import Testing

@testable import ImageData

@Suite struct HostileImageTests {
  private func decode(_ bytes: [UInt8]) throws(ImageError) -> RGBImage {
    try ImageDecoder().decode(bytes, name: "bad")
  }

  private func original(_ name: String) throws -> [UInt8] {
    try contents(of: PictureFixture.path(name))
  }

  private func big32(_ value: UInt32) -> [UInt8] {
    withUnsafeBytes(of: value.bigEndian) { Array($0) }
  }

  private func little32(_ value: UInt32) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { Array($0) }
  }

  @Test(arguments: PictureFixture.names)
  func `A file that is cut off anywhere is pixels or an error`(name: String) throws {
    let whole = try original(name)
    let step = max(1, whole.count / 60)
    for length in stride(from: 0, to: whole.count, by: step) {
      _ = try? decode(Array(whole.prefix(length)))
    }
    #expect(throws: ImageError.self) { try decode(Array(whole.prefix(whole.count / 3))) }
  }

  @Test(arguments: PictureFixture.names)
  func `Changed bytes give pixels or an error`(name: String) throws {
    let whole = try original(name)
    var random = SeededRandom(whole.count)
    // Small limits, so that a changed header does not ask for much.
    let decoder = ImageDecoder(
      limits: ImageLimits(pixels: 1 << 20), appliesOrientation: true)
    var refused = 0
    for round in 0..<60 {
      var bytes = whole
      for _ in 0..<(round % 4 + 1) {
        // Mostly in the header, where a byte decides more.
        let place = Int.random(
          in: 0..<(round % 3 == 0 ? bytes.count : min(bytes.count, 200)), using: &random)
        bytes[place] = UInt8.random(in: 0...255, using: &random)
      }
      do throws(ImageError) {
        let image = try decoder.decode(bytes, name: "bad")
        #expect(image.pixels.count == image.width * image.height * 3)
      } catch {
        refused += 1
        #expect(error.description.contains("bad"))
        #expect(!error.description.contains("\n"))
      }
    }
    #expect(refused < 61)
  }

  @Test func `Headers that ask for too much are refused before anything is decoded`() throws {
    var png = try original("png_rgb.png")
    png.replaceSubrange(16..<24, with: big32(100_000) + big32(100_000))
    #expect {
      try decode(png)
    } throws: {
      guard case ImageError.tooLarge(_, let what) = $0 else { return false }
      return what.hasPrefix("100000 x 100000 pixels")
    }
    var bmp = try original("bmp_rgb.bmp")
    bmp.replaceSubrange(18..<26, with: little32(60_000) + little32(60_000))
    #expect(throws: ImageError.tooLarge(file: "bad", "60000 x 60000 pixels; 178956970 are allowed"))
    {
      try decode(bmp)
    }
    #expect(
      throws: ImageError.tooLarge(
        file: "bad", "99999999 x 9 pixels; the longest side allowed is 1000000")
    ) {
      try decode(Array("P5 99999999 9 255\n".utf8))
    }
    let few = ImageDecoder(limits: ImageLimits(fileBytes: 100))
    #expect(throws: ImageError.tooLarge(file: "bad", "\(png.count) bytes; 100 are allowed")) {
      try few.decode(png, name: "bad")
    }
  }

  /// Sides that the limits allow, but that the data behind cannot fill; `scripts/interop/test_images.py` measures the memory.
  @Test func `Headers that promise more than the file holds are refused`() throws {
    var files: [[UInt8]] = []
    var png = try original("png_rgb.png")
    png.replaceSubrange(16..<24, with: big32(13_000) + big32(13_000))
    files.append(png)
    for name in ["jpeg_444.jpg", "jpeg_444_progressive.jpg", "jpeg_gray.jpg"] {
      var jpeg = try original(name)
      let frame = try #require(
        jpeg.indices.dropLast(9).first { jpeg[$0] == 0xFF && [0xC0, 0xC2].contains(jpeg[$0 + 1]) })
      jpeg.replaceSubrange(frame + 5..<frame + 9, with: [0x32, 0xC8, 0x32, 0xC8])
      files.append(jpeg)
    }
    var bmp = try original("bmp_rgb.bmp")
    bmp.replaceSubrange(18..<26, with: little32(13_000) + little32(13_000))
    files.append(bmp)
    files.append(Array("P6 13000 13000 255\nabc".utf8))
    files.append(Array("P3 13000 13000 255\n1 2 3".utf8))
    files.append(Array("P4 13000 13000\nabc".utf8))
    for file in files { #expect(throws: ImageError.truncated(file: "bad")) { try decode(file) } }
  }

  @Test func `What is no picture is told apart from what is none of ours`() throws {
    #expect(throws: ImageError.unknownFormat(file: "bad")) { try decode([]) }
    #expect(throws: ImageError.unknownFormat(file: "bad")) { try decode(Array("hello".utf8)) }
    #expect(throws: ImageError.unknownFormat(file: "bad")) { try decode(Array("GIF89a".utf8)) }
    #expect(throws: ImageError.truncated(file: "bad")) { try decode([0xFF, 0xD8, 0xFF, 0xC0]) }
  }

  @Test func `Files that cannot be opened are named`() throws {
    let folder = try TemporaryFolder()
    let files = FileManager.default
    try files.createSymbolicLink(
      atPath: folder.file("link.png"), withDestinationPath: folder.file("nowhere"))
    #expect {
      try ImageDecoder().decode(folder.file("link.png"))
    } throws: {
      guard let error = $0 as? ImageError, case .unreadable(let file, _) = error else {
        return false
      }
      return file == folder.file("link.png") && error.description.contains("No such file")
    }
    #expect(throws: ImageError.unreadable(file: folder.path, "is a folder, not a file")) {
      try ImageDecoder().decode(folder.path)
    }
    let empty = try folder.write([], to: "empty.jpg")
    #expect(throws: ImageError.unknownFormat(file: empty)) { try ImageDecoder().decode(empty) }
  }

  @Test func `Many scans of one JPEG file are refused`() throws {
    // The last scan of a progressive file, again and again.
    let file = try original("jpeg_gray_progressive.jpg")
    let scans = file.indices.dropLast().filter { file[$0] == 0xFF && file[$0 + 1] == 0xDA }
    let last = try #require(scans.last)
    var bytes = Array(file[..<last])
    for _ in 0..<3000 { bytes += file[last..<file.count - 2] }
    #expect {
      try decode(bytes + [0xFF, 0xD9])
    } throws: {
      "\($0)".contains("scans")
    }
  }
}
