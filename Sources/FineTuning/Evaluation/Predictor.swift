internal import ModelZoo
public import ImageData
internal import TrainingCore

/// Classifies images by a fine-tuned model.
public struct Predictor {
  /// A class and how likely it is.
  public struct Candidate: Sendable, Hashable {
    /// The class's name.
    public let name: String
    /// The class's index.
    public let index: Int
    /// The softmax of the logits at that index, from 0 to 1.
    public let probability: Double
  }

  /// What the model says of an image.
  public struct Prediction: Sendable, Hashable {
    /// The image's file.
    public let path: String
    /// The model's outputs, one a class.
    public let logits: [Float]
    /// The most likely classes, the most likely first.
    public let top: [Candidate]
  }

  private let classifier: FineTunedFile.Classifier
  private let batchSize: Int
  private let threads: Int?

  /// A predictor with a model.
  ///
  /// - Parameters:
  ///   - classifier: the model, its classes and its preprocessing.
  ///   - batchSize: the number of images that the model sees at once.
  ///   - threads: the number of threads that decode; nil for as many as there are processors.
  public init(
    _ classifier: FineTunedFile.Classifier, batchSize: Int = 32, threads: Int? = nil
  ) {
    (self.classifier, self.batchSize, self.threads) = (classifier, batchSize, threads)
  }

  /// Classifies images, batch by batch.
  ///
  /// - Parameters:
  ///   - paths: the images' files.
  ///   - top: the number of classes to name for each.
  ///   - skipsBad: whether images that cannot be read are left out.
  ///   - body: is given the predictions of each batch in the order of `paths`; may throw to stop.
  /// - Returns: the images that were left out.
  /// - Throws: `ImageError` for an image that cannot be read, unless those are skipped; ``FineTuningError/notFinite(what:position:)``
  ///   for outputs that are no numbers; `TrainingError`; what `body` throws.
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
