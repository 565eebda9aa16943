internal import Foundation
public import ImageData
public import TrainingCore

/// Measures the accuracy of a model on images whose classes are known.
public struct Evaluator {
  /// The loader of the images, in the order of their folder.
  public let loader: DataLoader

  /// Creates an evaluator for the images of a folder.
  ///
  /// - Parameters:
  ///   - folder: the images; its classes are in the order of the model's outputs.
  ///   - preprocessing: the conversion of an image to the model's input.
  ///   - batchSize: the number of images in a batch.
  ///   - threads: the number of threads that decode; nil for as many as there are processors.
  ///   - skipsBad: whether images that cannot be read are skipped and listed.
  public init(
    _ folder: ImageFolder, _ preprocessing: Preprocessing, batchSize: Int = 32,
    threads: Int? = nil, skipsBad: Bool = false
  ) {
    loader = DataLoader(
      folder, transform: preprocessing.transform, batchSize: batchSize, threads: threads,
      decoder: preprocessing.decoder, skipsBad: skipsBad)
  }

  /// Evaluates a model, which is in evaluation mode afterwards.
  ///
  /// - Parameters:
  ///   - module: a model whose outputs are logits of shape [batch, classes].
  ///   - progress: is called with the number of finished images after each batch; may throw to
  ///     stop.
  /// - Returns: the evaluation, and the images that were skipped.
  /// - Throws: `ImageError` for an image that cannot be read, unless those are skipped;
  ///   ``FineTuningError/notFinite(what:position:)`` for an output that is not finite;
  ///   `TrainingError` if the model does not take such images or has another number of classes;
  ///   what `progress` throws.
  public func evaluate(_ module: Module, progress: (Int) throws -> Void = { _ in }) throws -> (
    evaluation: Evaluation, omissions: [EpochBatches.Omission]
  ) {
    try evaluate(module, features: nil, progress: progress)
  }

  /// Evaluates a model on the images, or on their features.
  ///
  /// - Parameters:
  ///   - module: the whole model.
  ///   - features: the inputs of the model's head, if these are kept; nil to decode the images.
  ///   - progress: as in ``evaluate(_:progress:)``.
  /// - Throws: as ``evaluate(_:progress:)``.
  func evaluate(_ module: Module, features: FeatureCache?, progress: (Int) throws -> Void) throws
    -> (evaluation: Evaluation, omissions: [EpochBatches.Omission])
  {
    module.eval()
    let part = features?.head ?? module
    var tally = EvaluationTally(loader.folder)
    let batches = try LabeledBatches(loader, features: features)
    while let batch = try batches.next() {
      let logits = try noGrad { try part(batch.inputs) }
      try tally.add(logits, indices: batch.places)
      try progress(tally.count)
    }
    return (tally.evaluation, batches.omissions)
  }
}

/// Collects an evaluation batch by batch.
struct EvaluationTally {
  private let folder: ImageFolder
  private var lossSum = 0.0
  private var top5Count = 0
  private var predictions: [Evaluation.Prediction] = []

  /// Creates a tally without images.
  init(_ folder: ImageFolder) { self.folder = folder }

  /// The number of images so far.
  var count: Int { predictions.count }

  /// Adds logits of shape [batch, classes] for the images with these indices in the folder.
  ///
  /// - Throws: `TrainingError.badShape` if the logits have another shape;
  ///   ``FineTuningError/notFinite(what:position:)`` for a logit that is not finite.
  mutating func add(_ logits: Variable, indices: [Int]) throws {
    let classCount = folder.classes.count
    guard logits.shape == [indices.count, classCount] else {
      throw TrainingError.badShape(
        operation: "evaluation",
        problem: "outputs of shape \(logits.shape) for \(indices.count) images of "
          + "\(classCount) classes")
    }
    let labels = indices.map { folder.samples[$0].label }
    let losses = try noGrad {
      try logits.crossEntropy(Variable(indices: labels), reduction: .none).doubles()
    }
    let scores = try logits.floats()
    for (number, index) in indices.enumerated() {
      let row = scores[number * classCount..<(number + 1) * classCount]
      guard row.allSatisfy(\.isFinite) else {
        throw FineTuningError.notFinite(
          what: "an output of the model", position: folder.samples[index].path)
      }
      let ranking = ClassRanking(row)
      let label = labels[number]
      if ranking.first(5).contains(label) { top5Count += 1 }
      lossSum += losses[number]
      predictions.append(
        Evaluation.Prediction(
          path: folder.samples[index].path, label: label, predicted: ranking.best,
          probability: ranking.probability(of: ranking.best), loss: losses[number]))
    }
  }

  /// The evaluation of all images so far.
  var evaluation: Evaluation {
    let count = Double(max(predictions.count, 1))
    return Evaluation(
      classes: folder.classes, loss: lossSum / count, top5: Double(top5Count) / count,
      predictions: predictions)
  }
}

/// The classes of one image, ranked by their logits.
struct ClassRanking {
  private let logits: [Float]

  /// Ranks the logits of one image.
  init(_ logits: some Sequence<Float>) { self.logits = Array(logits) }

  /// The index of the largest logit, the first of equal ones; 0 if all are NaN.
  var best: Int { first(1).first ?? 0 }

  /// The indices of the `count` largest logits, sorted by decreasing logit.
  func first(_ count: Int) -> [Int] {
    logits.indices.filter { !logits[$0].isNaN }
      .sorted { (logits[$0], $1) > (logits[$1], $0) }.prefix(count).map(\.self)
  }

  /// The softmax of the logit at an index; NaN if there is no such logit.
  func probability(of index: Int) -> Double {
    guard logits.indices.contains(index), let largest = logits.max() else { return .nan }
    let sum = logits.reduce(0.0) { $0 + Self.exponential(Double($1) - Double(largest)) }
    return Self.exponential(Double(logits[index]) - Double(largest)) / sum
  }
}

extension ClassRanking {
  private static func exponential(_ value: Double) -> Double { Foundation.exp(value) }
}
