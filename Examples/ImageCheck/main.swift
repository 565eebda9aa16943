// Prints a line of JSON for each picture: SHA-256 of its bytes (rows from the top, red, green, blue) after decoding, and
// after Resize(256) and CenterCrop(224); or its error.
//
//     CkptImageCheck FILE…          files, or folders with all that is in them
//     CkptImageCheck -              their paths from stdin, a line each

internal import Crypto
internal import Foundation
internal import ImageData

struct Line: Encodable {
  let file: String
  var width: Int?
  var height: Int?
  var rgb: String?
  var resized: String?
  var error: String?
}

func digest(_ image: RGBImage) -> String {
  SHA256.hash(data: image.pixels).map { byte in
    String(byte >> 4, radix: 16) + String(byte & 15, radix: 16)
  }.joined()
}

func line(_ path: String) -> Line {
  var line = Line(file: path)
  do throws(ImageError) {
    let image = try ImageDecoder().decode(path)
    line.width = image.width
    line.height = image.height
    line.rgb = digest(image)
    let resized = try image.resized(shorterSide: 256)
    line.resized = digest(try resized.centerCropped(to: PixelSize(224)))
  } catch {
    line.error = error.description
  }
  return line
}

var paths = Array(CommandLine.arguments.dropFirst())
if paths == ["-"] {
  paths = []
  while let path = readLine() { paths.append(path) }
}
let encoder = JSONEncoder()
encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
for path in paths {
  print(String(decoding: try encoder.encode(line(path)), as: UTF8.self))
}
