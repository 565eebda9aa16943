import CkptTestSupport
import Foundation
import Testing

@testable import ImageData

@Suite struct TransformTests {
  @Test func `The operations of RandAugment and ColorJitter give torchvision's bytes`() throws {
    let fixture = try #require(PictureFixture.all)
    #expect(Set(fixture.operations.map(\.operation)).count == 15)
    for case let expected in fixture.operations {
      let image = try ImageDecoder().decode(PictureFixture.path(expected.file))
      let operation = try #require(Augmentation.Operation(rawValue: expected.operation))
      let found = Augmentation(operation, magnitude: expected.magnitude).applied(to: image)
      #expect(
        digest(found) == expected.rgb,
        "\(expected.operation) \(expected.magnitude) \(expected.file)")
    }
  }

  @Test func `RandAugment's magnitudes are torchvision's`() throws {
    let fixture = try #require(PictureFixture.all)
    for operation in Augmentation.Operation.randAugment {
      let expected = Set(
        fixture.operations.filter { $0.operation == operation.rawValue }.map { abs($0.magnitude) })
      let found = [0, 9, 17, 30].map {
        operation.magnitude(bin: $0, of: 31, height: 61, width: 97)
      }
      #expect(Set(found) == expected, "\(operation)")
    }
  }

  @Test func `ColorJitter draws an order and strengths within bounds`() {
    let jitter = ColorJitter(brightness: 0.4, contrast: 3, hue: 0.1)
    var orders: Set<[Augmentation.Operation]> = []
    for index in 0..<200 {
      var random = ImageRandom(seed: 0, epoch: 0, index: index)
      let drawn = jitter.draw(random: &random)
      orders.insert(drawn.map(\.operation))
      for change in drawn {
        switch change.operation {
        case .brightness: #expect(abs(change.magnitude) <= 0.4)
        case .contrast: #expect((-1...3).contains(change.magnitude))
        default: #expect(change.operation == .hue && abs(change.magnitude) <= 0.1)
        }
      }
    }
    #expect(orders.count == 6 && orders.allSatisfy { $0.count == 3 })
  }

  @Test func `Every byte becomes torchvision's float32`() throws {
    let fixture = try #require(PictureFixture.all)
    let image = try #require(
      RGBImage(width: 256, height: 1, pixels: (0..<768).map { UInt8($0 / 3) }))
    let transform = ImageTransform(
      size: PixelSize(height: 1, width: 256), framing: .resize)
    let values = try transform.values(image, ImageTransform.Decisions())
    let bytes = values.flatMap { value in
      withUnsafeBytes(of: value.bitPattern.littleEndian) { Array($0) }
    }
    #expect(sha256(bytes) == fixture.normalized)
  }

  @Test func `A flip of numbers is a flip of pixels`() throws {
    let image = try ImageDecoder().decode(PictureFixture.path("jpeg_444.jpg"))
    let transform = ImageTransform(size: PixelSize(height: 61, width: 97), framing: .resize)
    let flipped = try transform.values(image, ImageTransform.Decisions(isFlipped: true))
    let other = try transform.values(
      image.flippedHorizontally(), ImageTransform.Decisions())
    #expect(flipped == other)
    #expect(flipped != (try transform.values(image, ImageTransform.Decisions())))
  }

  @Test func `Random crops lie inside and keep to area and ratio`() {
    let crop = RandomResizedCrop()
    var areas: [Double] = []
    for index in 0..<2000 {
      var random = ImageRandom(seed: 5, epoch: 0, index: index)
      let box = crop.draw(width: 500, height: 375, random: &random)
      #expect(box.top >= 0 && box.left >= 0 && box.height > 0 && box.width > 0)
      #expect(box.top + box.height <= 375 && box.left + box.width <= 500)
      let ratio = Double(box.width) / Double(box.height)
      #expect(ratio > 0.73 && ratio < 1.37)
      areas.append(Double(box.width * box.height) / (500 * 375))
    }
    #expect(areas.min() ?? 0 > 0.075)
    // Evenly from 0.08 to 1, less those that do not fit: torchvision's mean of 20,000 is 0.4325.
    let mean = areas.reduce(0, +) / Double(areas.count)
    #expect(abs(mean - 0.4325) < 0.025, "\(mean)")
  }

  /// What torchvision's fallback gives.
  @Test func `Where no try fits the middle is taken`() {
    let crop = RandomResizedCrop(scale: 0.9...1)
    var random = ImageRandom(seed: 1, epoch: 1, index: 1)
    let wide = crop.draw(width: 1000, height: 10, random: &random)
    #expect(wide == PixelRectangle(top: 0, left: 493, height: 10, width: 13))
    let tall = crop.draw(width: 10, height: 1000, random: &random)
    #expect(tall == PixelRectangle(top: 493, left: 0, height: 13, width: 10))
  }

  /// The first outputs of SplitMix64 from the state 1234567, as its authors' program prints them.
  @Test func `Random numbers are those of the documented generator`() {
    var reference: UInt64 = 1_234_567
    func step() -> UInt64 {
      reference &+= 0x9E37_79B9_7F4A_7C15
      var bits = reference
      bits = (bits ^ (bits >> 30)) &* 0xBF58_476D_1CE4_E5B9
      bits = (bits ^ (bits >> 27)) &* 0x94D0_49BB_1331_11EB
      return bits ^ (bits >> 31)
    }
    #expect(step() == 6_457_827_717_110_365_317)
    #expect(step() == 3_203_168_211_198_807_973)
    reference = 42
    reference = step() &+ 7
    reference = step() &+ 9
    reference = step()
    var random = ImageRandom(seed: 42, epoch: 7, index: 9)
    for _ in 0..<10 { #expect(random.next() == step()) }
  }

  @Test func `Whole numbers below a bound are evenly spread`() {
    var random = ImageRandom(seed: 3, epoch: 0, index: 0)
    var counts = [Int](repeating: 0, count: 7)
    for _ in 0..<70_000 { counts[random.below(7)] += 1 }
    // Six standard deviations.
    #expect(counts.allSatisfy { abs($0 - 10_000) < 560 }, "\(counts)")
    #expect(Set(random.permutation(100)).count == 100)
  }

  @Test func `Erasing writes a rectangle and nothing else`() throws {
    let image = try ImageDecoder().decode(PictureFixture.path("jpeg_444.jpg"))
    var transform = ImageTransform(size: PixelSize(64), framing: .resize)
    let before = try transform.values(image, ImageTransform.Decisions())
    transform.erasing = RandomErasing(probability: 1, values: [5, 6, 7])
    let box = PixelRectangle(top: 3, left: 10, height: 20, width: 30)
    let decisions = ImageTransform.Decisions(erasure: RandomErasing.Erasure(box: box))
    let after = try transform.values(image, decisions)
    for place in after.indices {
      let (color, y, x) = (place / 4096, place / 64 % 64, place % 64)
      let isInside = (3..<23).contains(y) && (10..<40).contains(x)
      #expect(after[place] == (isInside ? Float(5 + color) : before[place]))
    }
  }

  @Test func `Decisions that do not fit are errors`() throws {
    let image = try #require(RGBImage(width: 2, height: 2, pixels: Array(repeating: 9, count: 12)))
    let transform = ImageTransform.training(size: 8)
    for box in [
      PixelRectangle(top: 1, left: 0, height: 2, width: 1),
      PixelRectangle(top: 0, left: 0, height: 0, width: 1),
      PixelRectangle(top: Int.max, left: 0, height: 1, width: 1),
      PixelRectangle(top: 0, left: -1, height: 1, width: Int.max),
    ] {
      #expect(throws: ImageError.self) {
        try transform.values(image, ImageTransform.Decisions(crop: box))
      }
    }
  }
}
