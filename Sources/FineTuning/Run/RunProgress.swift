internal import CkptStateDicts
internal import Foundation

/// How far a fine-tuning is: what must be known, beside the model and the optimizer, to go on as if it had never stopped.
struct RunProgress: Equatable {
  /// When the run began, in seconds since 1970.
  var startedAt = Date().timeIntervalSince1970
  /// The number of epochs that are trained and evaluated.
  var epoch = 0
  /// The number of optimizer steps in the epoch that has begun.
  var step = 0
  /// The sum of the losses of the images of these steps.
  var lossSum = 0.0
  /// The number of these images.
  var imageCount = 0
  /// How many of these images the model classified rightly while training.
  var rightCount = 0
  /// The time spent on the epoch so far, in seconds.
  var seconds = 0.0
  /// The time spent on all epochs, in seconds.
  var totalSeconds = 0.0
  /// The learning rates of the epoch's first step.
  var learningRates: [Double] = []
  /// The figures of the epochs that are done.
  var metrics: [EpochMetrics] = []
  /// The epoch with the best result, counted from 1; nil before the first.
  var bestEpoch: Int?

  /// The figures of the best epoch.
  var best: EpochMetrics? { bestEpoch.flatMap { epoch in metrics.first { $0.epoch == epoch } } }

  /// Takes in the figures of an epoch that is done.
  ///
  /// - Returns: whether they are the best: a higher top-1 accuracy, or the same and a lower loss.
  mutating func endEpoch(_ figures: EpochMetrics) -> Bool {
    let isBest =
      best.map { (figures.top1, -figures.validationLoss) > ($0.top1, -$0.validationLoss) } ?? true
    metrics.append(figures)
    if isBest { bestEpoch = figures.epoch }
    epoch += 1
    (step, lossSum, imageCount, rightCount, seconds, learningRates) = (0, 0, 0, 0, 0, [])
    return isBest
  }

  // MARK: - Keeping

  /// The progress as plain values.
  var plainValue: PlainValue {
    .dict([
      "started_at": .float(startedAt), "epoch": .int(epoch), "step": .int(step),
      "loss_sum": .float(lossSum),
      "image_count": .int(imageCount), "right_count": .int(rightCount),
      "seconds": .float(seconds), "total_seconds": .float(totalSeconds),
      "learning_rates": .list(learningRates.map(PlainValue.float)),
      "best_epoch": bestEpoch.map(PlainValue.int) ?? .none,
    ])
  }

  /// The figures of the epochs, as a checkpoint has them under `metrics`.
  var metricsValue: PlainValue {
    .list(
      metrics.map { row in
        .dict([
          "epoch": .int(row.epoch), "seconds": .float(row.seconds),
          "train_loss": .float(row.trainLoss), "val_loss": .float(row.validationLoss),
          "top1": .float(row.top1), "top5": .float(row.top5),
          "lr": .list(row.learningRates.map(PlainValue.float)),
        ])
      })
  }

  init() {}

  /// Reads what ``plainValue`` and ``metricsValue`` gave.
  ///
  /// - Throws: ``FineTuningError/notFineTuned(file:problem:)`` where something is missing or of another kind.
  init(_ value: PlainValue, metrics: PlainValue, from file: String) throws {
    func number(_ value: PlainValue, _ name: String) throws -> Double {
      guard let number = value[name]?.number else {
        throw FineTuningError.notFineTuned(file: file, problem: "it lacks \(name)")
      }
      return number
    }
    func count(_ name: String) throws -> Int {
      guard let count = value[name]?.int, (0...1 << 40).contains(count) else {
        throw FineTuningError.notFineTuned(file: file, problem: "it lacks \(name)")
      }
      return count
    }
    func rates(_ value: PlainValue?) -> [Double] { value?.items?.compactMap(\.number) ?? [] }
    startedAt = try number(value, "started_at")
    epoch = try count("epoch")
    step = try count("step")
    lossSum = try number(value, "loss_sum")
    imageCount = try count("image_count")
    rightCount = try count("right_count")
    seconds = try number(value, "seconds")
    totalSeconds = try number(value, "total_seconds")
    learningRates = rates(value["learning_rates"])
    bestEpoch = value["best_epoch"]?.int
    self.metrics = try (metrics.items ?? []).map { row in
      EpochMetrics(
        epoch: row["epoch"]?.int ?? 0, seconds: try number(row, "seconds"),
        trainLoss: try number(row, "train_loss"), validationLoss: try number(row, "val_loss"),
        top1: try number(row, "top1"), top5: try number(row, "top5"),
        learningRates: rates(row["lr"]))
    }
    guard self.metrics.map(\.epoch) == Array(1...max(epoch, 1)).prefix(epoch) + [],
      bestEpoch.map({ (1...max(epoch, 1)).contains($0) }) ?? true
    else {
      throw FineTuningError.notFineTuned(
        file: file, problem: "its metrics are not those of \(epoch) epochs")
    }
  }
}
