import CkptTestSupport
import Testing

@testable import ImageData

struct BatchSizeTests {
  /// The sizes of an epoch's batches of the first `count` pictures.
  private func sizes(
    _ count: Int, joins: Bool, drops: Bool = false, startingAt first: Int = 0
  ) throws -> [Int] {
    let folder = try ImageFolder(Fixtures.path("finetune/shapes"))
    let loader = DataLoader(
      folder.subset(Array(0..<count)), transform: .evaluation(resize: 8, size: 8), batchSize: 4,
      order: .shuffled, dropsLast: drops, joinsSingle: joins)
    let batches = try loader.epoch(0, startingAt: first)
    var sizes: [Int] = []
    while let batch = try batches.nextBatch() { sizes.append(batch.count) }
    #expect(first > 0 || sizes.count == loader.batchCount)
    return sizes
  }

  @Test func `A last sample alone joins the batch before it, if asked for`() throws {
    #expect(try sizes(9, joins: false) == [4, 4, 1])
    #expect(try sizes(9, joins: true) == [4, 5])
    #expect(try sizes(9, joins: true, startingAt: 1) == [5])
    #expect(try sizes(10, joins: true) == [4, 4, 2])
    #expect(try sizes(8, joins: true) == [4, 4])
    #expect(try sizes(1, joins: true) == [1])
    #expect(try sizes(9, joins: true, drops: true) == [4, 4])
    #expect(try sizes(11, joins: false, drops: true) == [4, 4])
  }

  // MARK: - Images that are skipped

  /// A loader of `count` pictures in batches of four, of which those in `bad` cannot be decoded.
  private func loader(_ count: Int, bad: Set<Int>, in temporary: TemporaryFolder) throws
    -> DataLoader
  {
    let text = try temporary.write(Array("no picture".utf8), to: "text.png")
    let folder = try ImageFolder(Fixtures.path("finetune/shapes"))
    let samples = folder.samples.prefix(count).enumerated().map { number, sample in
      ImageFolder.Sample(path: bad.contains(number) ? text : sample.path, label: sample.label)
    }
    return DataLoader(
      ImageFolder(path: folder.path, classes: folder.classes, samples: samples),
      transform: .evaluation(resize: 8, size: 8), batchSize: 4, joinsSingle: true, threads: 2,
      skipsBad: true)
  }

  private func batches(_ loader: DataLoader, startingAt first: Int = 0) throws -> [ImageBatch] {
    let batches = try loader.epoch(0, startingAt: first)
    var all: [ImageBatch] = []
    while let batch = try batches.nextBatch() { all.append(batch) }
    return all
  }

  @Test func `A sample that is left alone joins a neighbor`() throws {
    let temporary = try TemporaryFolder()
    func sizes(_ count: Int, _ bad: Set<Int>) throws -> [Int] {
      try batches(loader(count, bad: bad, in: temporary)).map(\.count)
    }
    #expect(try sizes(12, []) == [4, 4, 4])
    #expect(try sizes(12, [9, 10, 11]) == [4, 5])
    #expect(try sizes(12, [5, 6, 7]) == [5, 4])
    #expect(try sizes(12, [0, 1, 2]) == [5, 4])
    #expect(try sizes(12, [0, 1, 2, 5, 6, 7, 9, 10, 11]) == [3])
    #expect(try sizes(12, [4, 5, 6, 7, 8, 9, 10]) == [5])
    #expect(try sizes(12, Set(1..<12)) == [1])
    #expect(try sizes(12, Set(0..<12)) == [])
    // The plan joins the thirteenth to the batch before it, of which two are left.
    #expect(try sizes(13, [8, 9, 10]) == [4, 4, 2])
  }

  @Test(arguments: UInt64(0)..<30)
  func `Whatever is skipped, no sample is lost or alone, and an epoch continues anywhere`(
    _ seed: UInt64
  ) throws {
    var random = ImageRandom(seed: seed, epoch: 0, index: 0)
    let count = 2 + random.below(30)
    let share = 1 + random.below(9)
    let bad = Set((0..<count).filter { _ in random.below(10) < share })
    let temporary = try TemporaryFolder()
    let loader = try loader(count, bad: bad, in: temporary)
    defer { withExtendedLifetime(temporary) {} }
    let all = try batches(loader)
    let kept = (0..<count).filter { !bad.contains($0) }
    #expect(all.flatMap(\.places) == kept)
    #expect(all.allSatisfy { $0.count > 1 } || kept.count == 1)
    for batch in all {
      let size = 3 * 8 * 8
      #expect(batch.values.count == batch.count * size && batch.shape == [batch.count, 3, 8, 8])
      #expect(batch.labels == batch.places.map { loader.folder.samples[$0].label })
      #expect(batch.decisions.count == batch.count)
      // Batches are joined only where one of them is of one sample.
      let parts = batch.numbers.map { number in
        loader.samples(of: number, count: count).count { !bad.contains($0) }
      }.filter { $0 > 0 }
      #expect(parts.count == 1 || parts.contains(1))
      for (number, place) in batch.places.enumerated() {
        let image = try ImageDecoder().decode(loader.folder.samples[place].path)
        let expected = try loader.transform.values(image, batch.decisions[number])
        #expect(Array(batch.values.array[number * size..<(number + 1) * size]) == expected)
      }
    }
    for (number, batch) in all.enumerated() {
      let rest = try batches(loader, startingAt: batch.numbers.upperBound)
      #expect(rest.map(\.places) == all.dropFirst(number + 1).map(\.places))
    }
  }
}
