/// A batch that can be joined to the one that follows it.
package protocol JoinableBatch {
  /// The number of samples.
  var count: Int { get }
  /// The samples of this batch, then those of `next`.
  func joined(to next: Self) -> Self
}

/// Joins each batch of one sample to a neighbor: to the batch before it, or the first batch to the
/// one after it.
///
/// A batch can come down to one sample where images are left out. Batch normalization cannot be
/// trained on it if it has one value per channel.
package struct BatchJoiner<Batch: JoinableBatch> {
  /// The batch that is held back until the next one is known.
  private var waiting: Batch?

  /// A joiner that has seen no batch.
  package init() {}

  /// Takes the next batch, which is not empty.
  ///
  /// - Returns: the batch before it, if nothing is to be joined to that one any more.
  package mutating func add(_ batch: Batch) -> Batch? {
    guard let before = waiting else {
      waiting = batch
      return nil
    }
    guard before.count > 1, batch.count > 1 else {
      waiting = before.joined(to: batch)
      return nil
    }
    waiting = batch
    return before
  }

  /// Ends the sequence.
  ///
  /// - Returns: the batch that was held back; nil if there is none.
  package mutating func finish() -> Batch? {
    defer { waiting = nil }
    return waiting
  }
}

extension ImageBatch: JoinableBatch {
  package func joined(to next: ImageBatch) -> ImageBatch {
    ImageBatch(
      values: BatchValues(values.array + next.values.array),
      shape: [count + next.count] + shape.dropFirst(), labels: labels + next.labels,
      places: places + next.places, numbers: numbers.lowerBound..<next.numbers.upperBound,
      decisions: decisions + next.decisions)
  }
}
