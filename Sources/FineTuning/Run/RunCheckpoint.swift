internal import ModelZoo
internal import CkptBytes
internal import CkptPlatform
internal import CkptStateDicts
internal import CkptTensors
internal import Foundation
internal import ImageData
internal import StateDictKit
internal import TrainingCore

/// The contents of `last.pt` and `best.pt`: plain data, which PyTorch loads with
/// `weights_only=True`.
enum RunCheckpoint {
  /// The version of the layout, in the entry `version`.
  static let version = 1

  /// Everything that a training needs to continue.
  ///
  /// - Parameter description: the text of the model's description in YAML; nil for a model that is
  ///   known by its name.
  /// - Throws: `TensorError` or `TrainingError` if a tensor cannot be made.
  static func value(of tuner: FineTuner, description: String?) throws -> PlainValue {
    var entries: [(String, PlainValue)] = [
      ("model", PlainValue(try tuner.start.model.module.stateDict())),
      ("optimizer", try tuner.optimizer.stateDict()),
      ("scheduler", tuner.schedule.scheduler.stateDict()),
      ("epoch", .int(tuner.progress.epoch)),
      ("classes", .list(tuner.images.classes.map(PlainValue.string))),
      ("preprocessing", Preprocessing(tuner.options).plainValue),
      ("args", tuner.options.arguments),
      ("metrics", tuner.progress.metricsValue),
      ("rng", .dict(["dropout": .int(Int(bitPattern: UInt(tuner.random.state)))])),
      ("progress", tuner.progress.plainValue),
      ("head", .list(tuner.start.head.map(PlainValue.string))),
      ("images", imagesValue(tuner.images)),
      ("version", .int(version)),
    ]
    if let ema = tuner.ema {
      entries.append(("ema", PlainValue(try ema.stateDict())))
      entries.append(("ema_updates", .int(ema.averagedCount)))
    }
    if let description { entries.append(("model_description", .string(description))) }
    if let evaluation = tuner.bestEvaluation {
      entries.append(("best_evaluation", try value(of: evaluation, on: tuner.images.validation)))
    }
    return .dict(entries.map { (.string($0.0), $0.1) })
  }

  /// The keys in ``imagesValue(_:)``.
  static let imageFigures = ["train", "val", "crc32"]

  /// The numbers of images and a checksum, by which a run recognizes the images that it began with.
  static func imagesValue(_ images: TrainingImages) -> PlainValue {
    .dict([
      "train": .int(images.training.samples.count),
      "val": .int(images.validation.samples.count),
      "crc32": .int(Int(checksum(images.training, checksum(images.validation, 0)))),
    ])
  }

  /// Continues the CRC-32 `start` with each image's path inside the folder and its class index.
  private static func checksum(_ folder: ImageFolder, _ start: UInt32) -> UInt32 {
    var bytes: [UInt8] = []
    for sample in folder.samples {
      bytes += sample.path.utf8.dropFirst(folder.path.utf8.count)
      bytes += [0] + "\(sample.label)".utf8 + [0]
    }
    return bytes.withRawSpan { Checksum.crc32($0, from: start) }
  }

  /// Checks that images are those that a fine-tuning began with, by their number, paths and
  /// classes.
  ///
  /// - Throws: ``FineTuningError/notFineTuned(file:problem:)`` if they are not.
  static func check(_ images: TrainingImages, of saved: FineTunedFile) throws {
    guard !saved.wasTrained(on: images) else { return }
    let before = saved.value["images"]
    let counts = [before, imagesValue(images)].map {
      "\($0?["train"]?.int ?? 0) + \($0?["val"]?.int ?? 0)"
    }
    throw FineTuningError.notFineTuned(
      file: saved.file,
      problem: "the images are others than when the run began: "
        + (counts[0] == counts[1]
          ? "as many, with other names or classes" : "\(counts[0]) then, \(counts[1]) now"))
  }

  /// Restores everything but the model's weights: the optimizer, the schedule, the progress, the
  /// random state, the moving averages, and the best evaluation.
  ///
  /// - Throws: ``FineTuningError/notFineTuned(file:problem:)`` if an entry is missing or does not
  ///   fit; `TrainingError` or `FileError` if a state cannot be loaded.
  static func restore(_ tuner: FineTuner, from saved: FineTunedFile) throws {
    let (value, file) = (saved.value, saved.file)
    func entry(_ name: String) throws -> PlainValue {
      guard let entry = value[name] else {
        throw FineTuningError.notFineTuned(file: file, problem: "it lacks \(name)")
      }
      return entry
    }
    try tuner.optimizer.load(entry("optimizer"))
    tuner.progress = try RunProgress(
      entry("progress"), metrics: entry("metrics"), accumulate: tuner.options.accumulate,
      from: file)
    guard tuner.progress.step <= tuner.stepsPerEpoch else {
      throw FineTuningError.notFineTuned(
        file: file, problem: "its progress is beyond the \(tuner.stepsPerEpoch) steps of an epoch")
    }
    let length = try FineTuningOptions(arguments: entry("args"), from: file).epochs
    let progress = tuner.progress
    try tuner.schedule.restore(
      entry("scheduler"),
      hasSameLength: length == tuner.options.epochs
        || !tuner.options.schedule.dependsOnLength,
      epochs: progress.epoch, steps: progress.epoch * tuner.stepsPerEpoch + progress.step)
    guard let random = try entry("rng")["dropout"]?.int else {
      throw FineTuningError.notFineTuned(file: file, problem: "it lacks rng")
    }
    tuner.random.state = UInt64(UInt(bitPattern: random))
    if let ema = tuner.ema {
      guard let updates = try entry("ema_updates").int, updates >= 0 else {
        throw FineTuningError.notFineTuned(file: file, problem: "it lacks ema_updates")
      }
      try ema.load(saved.stateDict(at: "ema"), averagedCount: updates)
    }
    if let evaluation = value["best_evaluation"] {
      tuner.bestEvaluation = try Self.evaluation(evaluation, of: tuner.images.validation)
    }
  }

  // MARK: - The evaluation of the best epoch

  /// An evaluation as plain data. The predictions are tensors, so that the number of objects does
  /// not grow with the number of images.
  ///
  /// - Throws: `TensorError` if a tensor cannot be made.
  private static func value(of evaluation: Evaluation, on folder: ImageFolder) throws -> PlainValue
  {
    let rows = evaluation.predictions
    let indices = Dictionary(folder.samples.enumerated().map { ($1.path, $0) }) { first, _ in first
    }
    let figures = rows.flatMap { [Float($0.probability), Float($0.loss)] }
    return .dict([
      "loss": .float(evaluation.loss), "top5": .float(evaluation.top5),
      "images": .tensor(
        try Tensor(rows.map { Int64(indices[$0.path] ?? -1) }, shape: [rows.count])),
      "predicted": .tensor(try Tensor(rows.map { Int64($0.predicted) }, shape: [rows.count])),
      "figures": .tensor(try Tensor(figures, shape: [rows.count, 2])),
    ])
  }

  /// Reads what ``value(of:on:)`` returned; nil if it does not fit the images.
  ///
  /// - Throws: `FileError` if a tensor cannot be read.
  private static func evaluation(_ value: PlainValue, of folder: ImageFolder) throws -> Evaluation?
  {
    guard let loss = value["loss"]?.number, let top5 = value["top5"]?.number,
      let images = try value["images"]?.tensor?.floats(),
      let predicted = try value["predicted"]?.tensor?.floats(),
      let figures = try value["figures"]?.tensor?.floats(),
      predicted.count == images.count, figures.count == 2 * images.count
    else { return nil }
    var predictions: [Evaluation.Prediction] = []
    for (number, image) in images.enumerated() {
      guard let index = Int(exactly: image), folder.samples.indices.contains(index),
        let label = Int(exactly: predicted[number]), folder.classes.indices.contains(label)
      else { return nil }
      predictions.append(
        Evaluation.Prediction(
          path: folder.samples[index].path, label: folder.samples[index].label, predicted: label,
          probability: Double(figures[2 * number]), loss: Double(figures[2 * number + 1])))
    }
    return Evaluation(
      classes: folder.classes, loss: loss, top5: top5, predictions: predictions)
  }
}
