internal import ImageData
internal import TrainingCore

/// What a frozen backbone computes of images that are always the same numbers, computed once.
final class FeatureCache {
  /// The largest cache, in bytes.
  static let byteLimit = 2 << 30

  /// The sizes of one image's features.
  private let shape: [Int]
  private let values: [Float]
  /// The row of each image of the folder; nil for one that was left out.
  private let rows: [Int?]
  private let labels: [Int]
  /// The images that were left out.
  let omissions: [EpochBatches.Omission]

  private init(
    shape: [Int], values: [Float], rows: [Int?], labels: [Int], omissions: [EpochBatches.Omission]
  ) {
    (self.shape, self.values, self.rows) = (shape, values, rows)
    (self.labels, self.omissions) = (labels, omissions)
  }

  /// Computes the features of all images of a loader's folder.
  ///
  /// - Parameters:
  ///   - loader: gives the images in the order of the folder.
  ///   - module: the model, in the mode in which it is trained.
  ///   - child: the key of the part of the model that computes the output from the features.
  ///   - progress: is told the number of images that are done; may throw to stop.
  /// - Returns: nil if the features are not fixed, the child is not the end of the model, or they do not fit
  ///   ``byteLimit``.
  /// - Throws: `ImageError`, `TrainingError`, and what `progress` throws.
  static func make(
    of loader: DataLoader, _ module: Module, child: String, progress: (Int) throws -> Void
  ) throws -> FeatureCache? {
    let folder = loader.folder
    var (shape, values) = ([Int](), [Float]())
    var rows = [Int?](repeating: nil, count: folder.samples.count)
    var count = 0
    let batches = try loader.epoch(0)
    while let batch = try batches.nextBatch() {
      guard let found = try module.input(ofChild: child, for: batch.inputs()), found.isOutput,
        found.isFixed, found.features.shape.first == batch.count
      else { return nil }
      let features = found.features
      if count == 0 {
        shape = Array(features.shape.dropFirst())
        let size = shape.reduce(1, *)
        guard size <= byteLimit / 4 / max(folder.samples.count, 1) else { return nil }
        values.reserveCapacity(size * folder.samples.count)
      }
      values += try features.floats()
      for (number, place) in batch.places.enumerated() { rows[place] = count + number }
      count += batch.count
      try progress(count)
    }
    return FeatureCache(
      shape: shape, values: values, rows: rows, labels: folder.samples.map(\.label),
      omissions: batches.omissions)
  }

  /// The features and classes of some images, by their indices in the folder; images that were left out are not there.
  ///
  /// - Throws: `TrainingError.outOfMemory`.
  func batch(_ indices: ArraySlice<Int>) throws -> (
    features: Variable, targets: Variable, indices: [Int]
  )? {
    let kept = indices.filter { rows[$0] != nil }
    guard !kept.isEmpty else { return nil }
    let size = shape.reduce(1, *)
    var numbers: [Float] = []
    numbers.reserveCapacity(size * kept.count)
    for index in kept {
      guard let row = rows[index] else { continue }
      numbers += values[row * size..<(row + 1) * size]
    }
    return (
      try Variable(numbers, shape: [kept.count] + shape),
      try Variable(indices: kept.map { labels[$0] }), kept
    )
  }
}
