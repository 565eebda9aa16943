internal import Foundation
public import ImageData
public import TrainingCore

/// Evaluates a model on images whose classes are known.
public struct Evaluator {
  /// The images.
  public let loader: DataLoader

  /// An evaluator of a folder's images.
  ///
  /// - Parameters:
  ///   - folder: the images, whose classes are the model's outputs in their order.
  ///   - preprocessing: how an image becomes numbers.
  ///   - batchSize: the number of images that the model sees at once.
  ///   - threads: the number of threads that decode; nil for as many as there are processors.
  ///   - skipsBad: whether images that cannot be read are left out and listed.
  public init(
    _ folder: ImageFolder, _ preprocessing: Preprocessing, batchSize: Int = 32,
    threads: Int? = nil, skipsBad: Bool = false
  ) {
    loader = DataLoader(
      folder, transform: preprocessing.transform, batchSize: batchSize, threads: threads,
      decoder: preprocessing.decoder, skipsBad: skipsBad)
  }

  /// Evaluates a model. It is in evaluation mode afterwards.
  ///
  /// - Parameters:
  ///   - module: a model whose outputs are logits of shape [batch, classes].
  ///   - progress: is told the number of images that are done; may throw to stop.
  /// - Returns: the evaluation, and the images that were left out.
  /// - Throws: `ImageError` for an image that cannot be read, unless those are skipped; `TrainingError`; what `progress`
  ///   throws.
  public func evaluate(_ module: Module, progress: (Int) throws -> Void = { _ in }) throws -> (
    evaluation: Evaluation, omissions: [EpochBatches.Omission]
  ) {
    module.eval()
    var tally = EvaluationTally(loader.folder)
    let batches = try loader.epoch(0)
    while let batch = try batches.nextBatch() {
      let logits = try noGrad { try module(batch.inputs()) }
      try tally.add(logits, indices: batch.places)
      try progress(tally.count)
    }
    return (tally.evaluation, batches.omissions)
  }
}

/// Adds up an evaluation batch by batch.
struct EvaluationTally {
  private let folder: ImageFolder
  private var lossSum = 0.0
  private var top5Count = 0
  private var predictions: [Evaluation.Prediction] = []

  init(_ folder: ImageFolder) { self.folder = folder }

  /// The number of images so far.
  var count: Int { predictions.count }

  /// Adds the logits, of shape [batch, classes], of images with these indices in the folder.
  ///
  /// - Throws: `TrainingError` if the logits have another shape than the images and classes.
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

/// The classes of one image by their logits.
struct ClassRanking {
  private let logits: [Float]

  /// The ranking of the logits of one image, at least one.
  init(_ logits: some Sequence<Float>) { self.logits = Array(logits) }

  /// The index of the largest logit, the first of equal ones; 0 if none is a number.
  var best: Int { first(1).first ?? 0 }

  /// The indices of the `count` largest logits, the largest first.
  func first(_ count: Int) -> [Int] {
    logits.indices.filter { !logits[$0].isNaN }
      .sorted { (logits[$0], $1) > (logits[$1], $0) }.prefix(count).map(\.self)
  }

  /// The softmax of the logits at an index.
  func probability(of index: Int) -> Double {
    guard logits.indices.contains(index), let largest = logits.max() else { return .nan }
    let sum = logits.reduce(0.0) { $0 + Self.exponential(Double($1) - Double(largest)) }
    return Self.exponential(Double(logits[index]) - Double(largest)) / sum
  }
}

extension ClassRanking {
  private static func exponential(_ value: Double) -> Double { Foundation.exp(value) }
}
