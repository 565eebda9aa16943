import CkptPlatform
import CkptTestSupport
import Foundation
import Testing

@testable import ImageData

@Suite struct DataLoaderTests {
  /// All fixtures but the tallest, in three classes.
  private var folder: ImageFolder {
    ImageFolder(
      path: Fixtures.path("images"), classes: ["a", "b", "c"],
      samples: PictureFixture.names.enumerated().map {
        ImageFolder.Sample(path: PictureFixture.path($1), label: $0 % 7 == 0 ? 0 : $0 % 2 + 1)
      })
  }

  private func loader(threads: Int, order: SampleOrder = .shuffled) -> DataLoader {
    var transform = ImageTransform.training(size: 32)
    transform.augment = RandAugment()
    transform.erasing = RandomErasing(values: nil)
    return DataLoader(
      folder, transform: transform, batchSize: 16, order: order, seed: 3, threads: threads)
  }

  private func all(_ batches: EpochBatches) throws -> [ImageBatch] {
    var all: [ImageBatch] = []
    while let batch = try batches.nextBatch() { all.append(batch) }
    return all
  }

  @Test func `An epoch does not depend on the number of threads`() throws {
    let one = try all(loader(threads: 1).epoch(2))
    #expect(one.map(\.count).reduce(0, +) == PictureFixture.names.count)
    #expect(one.count == loader(threads: 1).batchCount)
    for threads in [2, 5] {
      let other = try all(loader(threads: threads).epoch(2))
      #expect(other.map(\.values.array) == one.map(\.values.array))
      #expect(other.map(\.labels) == one.map(\.labels))
      #expect(other.map(\.decisions) == one.map(\.decisions))
    }
    let next = try all(loader(threads: 2).epoch(3))
    #expect(next.map(\.places) != one.map(\.places))
    #expect(next.flatMap(\.places).sorted() == one.flatMap(\.places).sorted())
  }

  @Test func `A plan that was written down gives the same batches`() throws {
    let loader = loader(threads: 2)
    let plan = try loader.plan(epoch: 1)
    let copy = try JSONDecoder().decode(EpochPlan.self, from: JSONEncoder().encode(plan))
    #expect(copy == plan)
    let planned = try all(loader.epoch(9, plan: copy))
    let drawn = try all(loader.epoch(1))
    #expect(planned.map(\.values.array) == drawn.map(\.values.array))
    #expect(planned.map(\.decisions) == drawn.map(\.decisions))
    #expect(throws: ImageError.self) { try loader.epoch(0, plan: EpochPlan(order: [1000])) }
  }

  @Test func `The values of a batch are those of its samples`() throws {
    let loader = loader(threads: 2, order: .asFound)
    let batch = try #require(try loader.epoch(0).nextBatch())
    #expect(batch.shape == [16, 3, 32, 32] && batch.places == Array(0..<16))
    for number in [0, 7, 15] {
      let image = try ImageDecoder().decode(folder.samples[number].path)
      let expected = try loader.transform.values(image, batch.decisions[number])
      let size = 3 * 32 * 32
      #expect(Array(batch.values.array[number * size..<(number + 1) * size]) == expected)
    }
  }

  @Test func `The last batch is smaller, or left out`() throws {
    var loader = loader(threads: 2)
    loader.folder = folder.subset(Array(0..<35))
    #expect(try all(loader.epoch(0)).map(\.count) == [16, 16, 3])
    loader.dropsLast = true
    #expect(try all(loader.epoch(0)).map(\.count) == [16, 16])
    #expect(loader.batchCount == 2)
  }

  @Test func `A balanced order shows each class as often`() {
    let samples = (0..<1000).map { ImageFolder.Sample(path: "\($0)", label: $0 < 900 ? 0 : 2) }
    let folder = ImageFolder(path: "x", classes: ["a", "b", "c"], samples: samples)
    let places = SampleOrder.balanced.places(in: folder, seed: 1, epoch: 0)
    let rare = places.filter { $0 >= 900 }.count
    #expect(places.count == 1000 && abs(rare - 500) < 100, "\(rare)")
  }

  @Test func `A bad picture is an error, or left out and listed`() throws {
    let bad = try TemporaryFolder()
    let text = try bad.write(Array("not a picture".utf8), to: "text.jpg")
    let gone = bad.file("gone.png")
    var samples = folder.samples
    samples.insert(ImageFolder.Sample(path: text, label: 0), at: 3)
    samples.insert(ImageFolder.Sample(path: gone, label: 0), at: 20)
    var loader = loader(threads: 3, order: .asFound)
    loader.folder = ImageFolder(path: bad.path, classes: ["a", "b", "c"], samples: samples)
    #expect(throws: ImageError.unknownFormat(file: text)) { try all(loader.epoch(0)) }
    loader.skipsBad = true
    let batches = try loader.epoch(0)
    let made = try all(batches)
    #expect(made[0].count == 15 && made[1].count == 15)
    #expect(!made[0].places.contains(3))
    #expect(batches.omissions.map(\.path) == [text, gone])
    #expect(batches.omissions[0].error == .unknownFormat(file: text))
    // What is left are the same samples in the same order.
    let place = made[0].places[3]
    #expect(place == 4)
    let image = try ImageDecoder().decode(samples[place].path)
    let size = 3 * 32 * 32
    #expect(
      Array(made[0].values.array[3 * size..<4 * size])
        == (try loader.transform.values(image, made[0].decisions[3])))
  }

  @Test func `A cancelled epoch ends, and so does one that nobody reads to its end`() throws {
    let cancellation = Cancellation()
    let batches = try loader(threads: 2).epoch(0, cancellation: cancellation)
    _ = try batches.nextBatch()
    cancellation.cancel()
    #expect(throws: CancelledError.self) { try batches.nextBatch() }
    for _ in 0..<20 { _ = try loader(threads: 3).epoch(0).nextBatch() }
  }

  @Test func `Mixup takes a share of the sample before`() throws {
    let batch = try #require(try loader(threads: 2).epoch(0).nextBatch())
    let (values, targets) = Mixup.mixed(batch, classCount: 3, share: 0.75)
    let (before, after) = (batch.values.array, values.array)
    let size = 3 * 32 * 32
    #expect(after[5] == before[15 * size + 5] * 0.25 + before[5] * 0.75)
    #expect(after[size + 9] == before[9] * 0.25 + before[size + 9] * 0.75)
    for sample in 0..<batch.count {
      var expected: [Float] = [0, 0, 0]
      expected[batch.labels[sample]] += 0.75
      expected[batch.labels[(sample + 15) % 16]] += 0.25
      #expect(Array(targets[sample * 3..<sample * 3 + 3]) == expected)
    }
    var random = ImageRandom(seed: 1, epoch: 0, index: 0)
    let shares = (0..<4000).map { _ in Mixup(alpha: 0.2).share(random: &random) }
    #expect(shares.allSatisfy { (0...1).contains($0) })
    // Beta(0.2, 0.2) has the mean 1/2 and the variance 1 / (4 * 1.4).
    let mean = shares.reduce(0, +) / 4000
    let variance = shares.map { ($0 - mean) * ($0 - mean) }.reduce(0, +) / 4000
    #expect(abs(mean - 0.5) < 0.04 && abs(variance - 1 / 5.6) < 0.01, "\(mean) \(variance)")
  }
}
