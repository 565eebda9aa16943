internal import CkptPlatform

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
  private let storage: AlignedBuffer<Float>
  /// How many there are.
  public private(set) var count: Int

  /// Room for `count` numbers, each of which must be written, or dropped by `keep`, before anybody reads.
  init(count: Int) {
    storage = AlignedBuffer(count: count)
    self.count = count
  }

  /// Numbers.
  public convenience init(_ values: [Float]) {
    self.init(count: values.count)
    _ = storage.elements.initialize(fromContentsOf: values)
  }

  /// Calls `body` with the numbers.
  ///
  /// - Throws: what `body` throws.
  public func withValues<Result, Failure: Error>(
    _ body: (Span<Float>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try storage.withSpan(first: count, body)
  }

  /// A copy of the numbers.
  public var array: [Float] { Array(storage.elements[..<count]) }

  /// Calls `body` with the numbers of one of the samples, which have `size` each; before anybody else has the object.
  ///
  /// Several threads write at the same time, each another sample.
  /// - Throws: what `body` throws.
  func withSample<Result, Failure: Error>(
    _ number: Int, size: Int, _ body: (inout MutableSpan<Float>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    var sample = part(number, size: size).mutableSpan
    return try body(&sample)
  }

  private func part(_ number: Int, size: Int) -> UnsafeMutableBufferPointer<Float> {
    UnsafeMutableBufferPointer(rebasing: storage.elements[number * size..<(number + 1) * size])
  }

  /// Moves the numbers of some samples together and forgets the others; before anybody else has the object.
  func keep(_ numbers: [Int], size: Int) {
    for (to, from) in numbers.enumerated() where to != from {
      _ = part(to, size: size).update(fromContentsOf: part(from, size: size))
    }
    count = numbers.count * size
  }
}
