internal import ModelZoo
public import ImageData
internal import TrainingCore

/// Classifies images with a fine-tuned model.
public struct Predictor {
  /// A class and its probability.
  public struct Candidate: Sendable, Hashable {
    /// The name of the class.
    public let name: String
    /// The index of the class in the model's outputs.
    public let index: Int
    /// The softmax of the class's logit, from 0 to 1.
    public let probability: Double
  }

  /// The prediction for one image.
  public struct Prediction: Sendable, Hashable {
    /// The path of the image.
    public let path: String
    /// The model's outputs, one for each class.
    public let logits: [Float]
    /// The most likely classes, sorted by decreasing probability.
    public let top: [Candidate]
  }

  private let classifier: FineTunedFile.Classifier
  private let batchSize: Int
  private let threads: Int?

  /// Creates a predictor.
  ///
  /// - Parameters:
  ///   - classifier: the model, its classes and its preprocessing.
  ///   - batchSize: the number of images in a batch.
  ///   - threads: the number of threads that decode; nil for as many as there are processors.
  public init(
    _ classifier: FineTunedFile.Classifier, batchSize: Int = 32, threads: Int? = nil
  ) {
    (self.classifier, self.batchSize, self.threads) = (classifier, batchSize, threads)
  }

  /// Classifies images, batch by batch. The model is in evaluation mode afterwards.
  ///
  /// - Parameters:
  ///   - paths: the paths of the images.
  ///   - top: the number of most likely classes to return for each image.
  ///   - skipsBad: whether images that cannot be read are skipped.
  ///   - body: is called with the predictions of each batch, in the order of `paths`; may throw to
  ///     stop.
  /// - Returns: the images that were skipped.
  /// - Throws: `ImageError` for an image that cannot be read, unless those are skipped;
  ///   ``FineTuningError/notFinite(what:position:)`` for outputs that are no numbers;
  ///   `TrainingError`; what `body` throws.
  @discardableResult
  public func predict(
    _ paths: [String], top: Int = 5, skipsBad: Bool = false,
    _ body: ([Prediction]) throws -> Void
  ) throws -> [EpochBatches.Omission] {
    let folder = ImageFolder(
      path: "", classes: classifier.classes,
      samples: paths.map { ImageFolder.Sample(path: $0, label: 0) })
    let loader = DataLoader(
      folder, transform: classifier.preprocessing.transform, batchSize: batchSize,
      threads: threads, decoder: classifier.preprocessing.decoder, skipsBad: skipsBad)
    let module = classifier.model.module
    module.eval()
    let batches = try loader.epoch(0)
    while let batch = try batches.nextBatch() {
      let logits = try noGrad { try module(batch.inputs()) }
      let count = classifier.classes.count
      guard logits.shape == [batch.count, count] else {
        throw TrainingError.badShape(
          operation: "prediction",
          problem: "outputs of shape \(logits.shape) for \(batch.count) images of \(count) classes")
      }
      let numbers = try logits.floats()
      try body(
        batch.places.enumerated().map { number, place in
          let row = Array(numbers[number * count..<(number + 1) * count])
          guard row.allSatisfy(\.isFinite) else {
            throw FineTuningError.notFinite(
              what: "an output of the model", position: paths[place])
          }
          let ranking = ClassRanking(row)
          return Prediction(
            path: paths[place], logits: row,
            top: ranking.first(top).map {
              Candidate(
                name: classifier.classes[$0], index: $0,
                probability: ranking.probability(of: $0))
            })
        })
    }
    return batches.omissions
  }
}
