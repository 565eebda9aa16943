/// Samples that a model sees at once.
public struct ImageBatch: Sendable {
  /// Numbers of all samples: sample by sample, plane by plane, row by row.
  public let values: BatchValues
  /// How many samples, colors, rows and columns there are.
  public let shape: [Int]
  /// The class of each sample.
  public let labels: [Int]
  /// The place of each sample in its folder.
  public let places: [Int]
  /// What chance decided for each sample.
  public let decisions: [ImageTransform.Decisions]

  /// How many samples there are.
  public var count: Int { labels.count }
}

/// Numbers that were written once, by several threads.
public final class BatchValues: @unchecked Sendable {
  // Written before anybody else gets the object, and never after.
  private let storage: UnsafeMutableBufferPointer<Float>
  /// How many there are.
  public private(set) var count: Int

  /// Room for `count` numbers, each of which must be written, or dropped by `keep`, before anybody reads.
  init(count: Int) {
    storage = .allocate(capacity: count)
    self.count = count
  }

  /// Numbers.
  public convenience init(_ values: [Float]) {
    self.init(count: values.count)
    _ = storage.initialize(fromContentsOf: values)
  }

  deinit { storage.deallocate() }

  /// Calls `body` with the numbers.
  public func withValues<Result, Failure: Error>(
    _ body: (UnsafeBufferPointer<Float>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try body(UnsafeBufferPointer(rebasing: storage[..<count]))
  }

  /// A copy of the numbers.
  public var array: [Float] { withValues { Array($0) } }

  /// The numbers of one of the samples, which have `size` each; before anybody else has the object.
  func part(_ number: Int, size: Int) -> UnsafeMutableBufferPointer<Float> {
    UnsafeMutableBufferPointer(rebasing: storage[number * size..<(number + 1) * size])
  }

  /// Moves the numbers of some samples together and forgets the others; before anybody else has the object.
  func keep(_ numbers: [Int], size: Int) {
    for (to, from) in numbers.enumerated() where to != from {
      _ = part(to, size: size).update(fromContentsOf: part(from, size: size))
    }
    count = numbers.count * size
  }
}
