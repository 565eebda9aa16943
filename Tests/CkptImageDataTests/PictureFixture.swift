import CkptTestSupport
import Foundation
import ImageData

/// What Pillow and torchvision make of the pictures of `fixtures/images`; see `fixtures/images.py`.
struct PictureFixture: Decodable {
  /// A picture.
  struct Picture: Decodable {
    let width: Int, height: Int
    let format: String
    let rgb: String, oriented: String
    let bilinear: String, bicubic: String, nearest: String
    let center_crop: String
    let crops: [Crop]
    let shortened: [Shortened]
  }

  /// A part of it, resized.
  struct Crop: Decodable {
    let box: [Int]
    let size: [Int]
    let flipped: Bool
    let rgb: String
  }

  /// The first bytes of the file, and what Pillow makes of them; nil for an error.
  struct Shortened: Decodable {
    let length: Int
    let rgb: String?

    init(from decoder: any Decoder) throws {
      var values = try decoder.unkeyedContainer()
      length = try values.decode(Int.self)
      rgb = try values.decodeNil() ? nil : try values.decode(String.self)
    }
  }

  /// One of RandAugment's operations.
  struct Operation: Decodable {
    let file: String
    let operation: String
    let magnitude: Double
    let rgb: String
  }

  let pictures: [String: Picture]
  let operations: [Operation]
  let normalized: String

  static let all: PictureFixture? = try? Fixtures.decode(
    PictureFixture.self, from: "images/images.json")

  /// The names of all pictures.
  static let names: [String] = (all?.pictures.keys.sorted()) ?? []

  static func path(_ name: String) -> String { Fixtures.path("images/" + name) }
}

/// SHA-256 of a picture's bytes.
func digest(_ image: RGBImage) -> String { sha256(image.pixels) }
