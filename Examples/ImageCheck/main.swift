// What this library makes of pictures, for `make interop`, which compares it with Pillow and torchvision.
//
//     CkptImageCheck hash FILE…     a line of JSON for each picture: SHA-256 of its bytes (rows from the top, red,
//                                   green, blue) after decoding, and after Resize(256) and CenterCrop(224); or its error;
//                                   `-` for paths from stdin, a line each
//     CkptImageCheck epoch FOLDER SEED EPOCH
//                                   the plan of an epoch of training samples, and SHA-256 of each batch of 8
//     CkptImageCheck speed FOLDER THREADS EPOCHS
//                                   training samples a second

internal import Crypto
internal import Foundation
internal import ImageData

struct Hashes: Encodable {
  let file: String
  var width: Int?
  var height: Int?
  var rgb: String?
  var resized: String?
  var error: String?

  init(_ path: String) {
    file = path
    do throws(ImageError) {
      let image = try ImageDecoder().decode(path)
      width = image.width
      height = image.height
      rgb = digest(image.pixels)
      let resized = try image.resized(shorterSide: 256)
      self.resized = digest(try resized.centerCropped(to: PixelSize(224)).pixels)
    } catch {
      self.error = error.description
    }
  }
}

struct Epoch: Encodable {
  let classes: [String]
  let files: [String]
  let plan: EpochPlan
  var labels: [[Int]] = []
  var batches: [String] = []

  init(_ folder: String, seed: UInt64, epoch: Int) throws {
    let folder = try ImageFolder(folder)
    let loader = DataLoader(
      folder, transform: .training(), batchSize: 8, order: .shuffled, seed: seed)
    classes = folder.classes
    files = folder.samples.map(\.path)
    plan = try loader.plan(epoch: epoch)
    let made = try loader.epoch(epoch)
    while let batch = try made.nextBatch() {
      labels.append(batch.labels)
      batches.append(batch.values.withValues { $0.withUnsafeBytes { digest($0) } })
    }
  }
}

struct Speed: Encodable {
  var samples = 0
  let seconds: Double
  let samplesPerSecond: Double

  init(_ folder: String, threads: Int, epochs: Int) throws {
    let loader = DataLoader(
      try ImageFolder(folder), transform: .training(), order: .shuffled, threads: threads)
    let clock = ContinuousClock()
    let start = clock.now
    for epoch in 0..<epochs {
      let batches = try loader.epoch(epoch)
      while let batch = try batches.nextBatch() { samples += batch.count }
    }
    seconds = (clock.now - start) / .seconds(1)
    samplesPerSecond = Double(samples) / seconds
  }
}

func digest(_ bytes: some ContiguousBytes & Collection<UInt8>) -> String {
  SHA256.hash(data: Data(bytes)).map { (byte: UInt8) in
    String(byte >> 4, radix: 16) + String(byte & 15, radix: 16)
  }.joined()
}

func show(_ value: some Encodable) throws {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
  print(String(decoding: try encoder.encode(value), as: UTF8.self))
}

func run(_ arguments: [String]) throws {
  switch arguments.first {
  case "hash":
    if arguments.dropFirst() == ["-"] {
      while let path = readLine() { try show(Hashes(path)) }
    } else {
      for path in arguments.dropFirst() { try show(Hashes(path)) }
    }
  case "epoch" where arguments.count == 4:
    try show(
      Epoch(arguments[1], seed: UInt64(arguments[2]) ?? 0, epoch: Int(arguments[3]) ?? 0))
  case "speed" where arguments.count == 4:
    try show(
      Speed(arguments[1], threads: Int(arguments[2]) ?? 1, epochs: Int(arguments[3]) ?? 1))
  default: throw ImageError.badRequest("CkptImageCheck hash | epoch | speed; see its source")
  }
}

do {
  try run(Array(CommandLine.arguments.dropFirst()))
} catch {
  FileHandle.standardError.write(Data("CkptImageCheck: error: \(error)\n".utf8))
  exit(65)
}
