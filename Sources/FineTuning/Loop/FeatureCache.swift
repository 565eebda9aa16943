internal import ImageData
internal import TrainingCore

/// The features of images: the outputs of a frozen backbone, computed once, for images that are the
/// same in every epoch.
final class FeatureCache {
  /// The largest cache, in bytes.
  static let byteLimit = 2 << 30

  /// The part of the model that computes the output from the features.
  let head: Module
  /// The images that could not be read, and have no features.
  let omissions: [EpochBatches.Omission]
  /// The shape of one image's features.
  private let shape: [Int]
  /// The features of all images, one row of `shape` each.
  private let values: [Float]
  /// The row of each image of the folder; nil for an image without features.
  private let rows: [Int?]

  private init(
    head: Module, shape: [Int], values: [Float], rows: [Int?], omissions: [EpochBatches.Omission]
  ) {
    (self.head, self.shape, self.values, self.rows) = (head, shape, values, rows)
    self.omissions = omissions
  }

  /// Computes the features of all images of a loader's folder.
  ///
  /// - Parameters:
  ///   - loader: the loader of the images, in the order of the folder.
  ///   - module: the model, in the mode in which it is trained.
  ///   - key: the key of the part of the model that computes the output from the features.
  ///   - progress: is called with the number of finished images; may throw to stop.
  /// - Returns: nil if the features change from epoch to epoch, the part is not the end of the
  ///   model, or the features take more than ``byteLimit``.
  /// - Throws: `ImageError` for an image that cannot be read, unless those are skipped;
  ///   `TrainingError`; what `progress` throws.
  static func make(
    of loader: DataLoader, _ module: Module, head key: String, progress: (Int) throws -> Void
  ) throws -> FeatureCache? {
    guard let head = module.module(at: key) else { return nil }
    let folder = loader.folder
    var (shape, values) = ([Int](), [Float]())
    var rows = [Int?](repeating: nil, count: folder.samples.count)
    var count = 0
    let batches = try loader.epoch(0)
    while let batch = try batches.nextBatch() {
      guard let found = try module.input(ofChild: key, for: batch.inputs()), found.isOutput,
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
      head: head, shape: shape, values: values, rows: rows, omissions: batches.omissions)
  }

  /// Whether there are features of the image with this index in the folder.
  func contains(_ place: Int) -> Bool { rows[place] != nil }

  /// The features of images, by their indices in the folder, of shape [images] + that of one
  /// image's features; images without features are skipped.
  ///
  /// - Throws: `TrainingError.outOfMemory`.
  func features(of places: [Int]) throws -> Variable {
    let kept = places.compactMap { rows[$0] }
    let size = shape.reduce(1, *)
    var numbers: [Float] = []
    numbers.reserveCapacity(size * kept.count)
    for row in kept { numbers += values[row * size..<(row + 1) * size] }
    return try Variable(numbers, shape: [kept.count] + shape)
  }
}
