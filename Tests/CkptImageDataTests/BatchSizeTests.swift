import CkptTestSupport
import ImageData
import Testing

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
}
