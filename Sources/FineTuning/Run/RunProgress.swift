internal import CkptStateDicts
internal import Foundation

/// The progress of a fine-tuning: everything, besides the states of model, optimizer and schedule,
/// that is needed to continue as if it had not been stopped.
struct RunProgress: Equatable {
  /// The time when the run began, in seconds since 1970.
  var startedAt = Date().timeIntervalSince1970
  /// The number of epochs that have been trained and evaluated.
  var epoch = 0
  /// The number of optimizer steps taken in the current epoch.
  var step = 0
  /// The index of the current epoch's next batch. It is not always `step` times the batches of a
  /// step: batches without readable images are passed over, and batches of one image are joined.
  var batch = 0
  /// The sum of the losses of the images in these steps.
  var lossSum = 0.0
  /// The number of these images.
  var imageCount = 0
  /// The number of these images that the model classified correctly before each step.
  var rightCount = 0
  /// The time spent on the current epoch, in seconds.
  var seconds = 0.0
  /// The time spent on all epochs, in seconds.
  var totalSeconds = 0.0
  /// The learning rate of each parameter group in the current epoch's first step.
  var learningRates: [Double] = []
  /// The metrics of the finished epochs.
  var metrics: [EpochMetrics] = []
  /// The number of the best epoch, counted from 1; nil before the first has finished.
  var bestEpoch: Int?

  /// The metrics of the best epoch.
  var best: EpochMetrics? { bestEpoch.flatMap { epoch in metrics.first { $0.epoch == epoch } } }

  /// Adds the metrics of the current epoch and begins the next one.
  ///
  /// - Returns: whether the epoch is the best so far: a higher top-1 accuracy, or the same and a
  ///   lower validation loss.
  mutating func endEpoch(_ figures: EpochMetrics) -> Bool {
    let isBest =
      best.map { (figures.top1, -figures.validationLoss) > ($0.top1, -$0.validationLoss) } ?? true
    metrics.append(figures)
    if isBest { bestEpoch = figures.epoch }
    epoch += 1
    (step, batch, lossSum, imageCount, rightCount) = (0, 0, 0, 0, 0)
    (seconds, learningRates) = (0, [])
    return isBest
  }

  // MARK: - Saving and loading

  /// The entry `progress` of a checkpoint.
  var plainValue: PlainValue {
    .dict([
      "started_at": .float(startedAt), "epoch": .int(epoch), "step": .int(step),
      "batch": .int(batch), "loss_sum": .float(lossSum),
      "image_count": .int(imageCount), "right_count": .int(rightCount),
      "seconds": .float(seconds), "total_seconds": .float(totalSeconds),
      "learning_rates": .list(learningRates.map(PlainValue.float)),
      "best_epoch": bestEpoch.map(PlainValue.int) ?? .none,
    ])
  }

  /// The entry `metrics` of a checkpoint: a dict for each finished epoch.
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

  /// Creates the progress of a training that has not begun.
  init() {}

  /// Reads the entries ``plainValue`` and ``metricsValue`` of a checkpoint.
  ///
  /// - Parameters:
  ///   - value: the entry `progress`.
  ///   - metrics: the entry `metrics`.
  ///   - accumulate: the number of batches in a step, from which `batch` follows if it is missing.
  ///   - file: the path of the checkpoint, for the error.
  /// - Throws: ``FineTuningError/notFineTuned(file:problem:)`` if something is missing, of another
  ///   type, or out of range.
  init(_ value: PlainValue, metrics: PlainValue, accumulate: Int, from file: String) throws {
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
    // Runs that were written before it existed do not have it.
    batch = try value["batch"] == nil ? step * accumulate : count("batch")
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
    guard self.metrics.count == epoch,
      self.metrics.enumerated().allSatisfy({ $1.epoch == $0 + 1 }),
      bestEpoch.map({ $0 >= 1 && $0 <= epoch }) ?? true
    else {
      throw FineTuningError.notFineTuned(
        file: file, problem: "its metrics are not those of \(epoch) epochs")
    }
  }
}
