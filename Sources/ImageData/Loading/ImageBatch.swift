internal import CkptPlatform

/// A batch of samples.
public struct ImageBatch: Sendable {
  /// The values of all samples, row-major with the shape in `shape`.
  public let values: BatchValues
  /// The shape [samples, 3, height, width].
  public let shape: [Int]
  /// The class index of each sample.
  public let labels: [Int]
  /// The index of each sample in the folder.
  public let places: [Int]
  /// The indices in the epoch of the batches that these samples are of: one index, or several if
  /// batches were joined. The upper bound is the index from which an epoch continues.
  public let numbers: Range<Int>
  /// The random decisions for each sample.
  public let decisions: [ImageTransform.Decisions]

  /// The number of samples.
  public var count: Int { labels.count }
}

/// Float32 values that are written once, by several threads, and then only read.
public final class BatchValues: @unchecked Sendable {
  // Written before the object is shared, and never afterwards.
  private let storage: AlignedBuffer<Float>
  /// The number of values.
  public private(set) var count: Int

  /// Allocates `count` values; each must be written, or dropped by `keep`, before any is read.
  init(count: Int) {
    storage = AlignedBuffer(count: count)
    self.count = count
  }

  /// Creates a copy of `values`.
  public convenience init(_ values: [Float]) {
    self.init(count: values.count)
    _ = storage.elements.initialize(fromContentsOf: values)
  }

  /// Calls `body` with the values.
  ///
  /// - Throws: what `body` throws.
  public func withValues<Result, Failure: Error>(
    _ body: (Span<Float>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try storage.withSpan(first: count, body)
  }

  /// A copy of the values.
  public var array: [Float] { Array(storage.elements[..<count]) }

  /// Calls `body` with the values of one sample, where each sample has `size` values; used before
  /// the object is shared.
  ///
  /// Several threads may write different samples at the same time.
  ///
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

  /// Keeps only the samples with the given numbers, moving them together; used before the object is
  /// shared.
  func keep(_ numbers: [Int], size: Int) {
    for (to, from) in numbers.enumerated() where to != from {
      _ = part(to, size: size).update(fromContentsOf: part(from, size: size))
    }
    count = numbers.count * size
  }
}
