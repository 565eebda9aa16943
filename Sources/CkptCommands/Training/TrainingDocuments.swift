internal import CkptStateDicts
internal import CkptText
internal import FineTuning
internal import Foundation
internal import ImageData

/// Prints a JSON document on one line.
func showLine(_ document: some Encodable) {
  do {
    print(try JSONValue(encoding: document).text(.oneLine))
    StandardOutput.flush()
  } catch {
    Messages.warn("an event cannot be printed: \(error)")
  }
}

/// A skipped image in a JSON document.
struct OmissionRow: Encodable {
  let image, why: String

  static func rows(_ omissions: [EpochBatches.Omission]) -> [OmissionRow] {
    omissions.map { OmissionRow(image: $0.path, why: $0.error.description) }
  }
}

/// The JSON document at the start of a training.
struct StartDocument: Encodable {
  struct ClassRow: Encodable {
    let name: String
    let train, val: Int
  }
  struct Group: Encodable {
    let name: String
    let parameters, elements: Int
    let lr: Double
  }
  struct Weights: Encodable {
    let file, head: String
    let loaded_elements, backbone_elements: Int
    let new, unexpected: [String]
  }

  let event = "start"
  let schema = 1
  let data, model: String
  let run: String?
  let dry_run: Bool
  let train_images, val_images: Int
  let classes: [ClassRow]
  let weights: Weights?
  let groups: [Group]
  let frozen_parameters, frozen_elements, fixed_batch_norms: Int
  let epochs, epochs_done, steps_per_epoch: Int
  let omitted: [OmissionRow]

  init(_ tuner: FineTuner, source: String?, run: String?, isPlan: Bool) {
    let (images, start, plan) = (tuner.images, tuner.start, tuner.plan)
    data = tuner.options.data
    model = tuner.options.model
    self.run = run
    dry_run = isPlan
    train_images = images.training.samples.count
    val_images = images.validation.samples.count
    let (training, validation) = (images.training.counts, images.validation.counts)
    classes = images.classes.indices.map {
      ClassRow(name: images.classes[$0], train: training[$0], val: validation[$0])
    }
    weights = source.map { source in
      Weights(
        file: source, head: start.headSource == .kept ? "kept" : "new",
        loaded_elements: start.backboneElements.loaded,
        backbone_elements: start.backboneElements.all, new: start.newKeys,
        unexpected: start.report?.unexpected ?? [])
    }
    groups = plan.groups.map {
      Group(
        name: $0.name, parameters: $0.keys.count, elements: $0.elementCount, lr: $0.learningRate)
    }
    frozen_parameters = plan.frozen.parameters
    frozen_elements = plan.frozen.elements
    fixed_batch_norms = tuner.fixedNorms.count
    epochs = tuner.options.epochs
    epochs_done = tuner.finishedEpochs
    steps_per_epoch = tuner.stepsPerEpoch
    omitted = OmissionRow.rows(tuner.omissions)
  }
}

/// The JSON document for a finished epoch.
struct EpochDocument: Encodable {
  let event = "epoch"
  let epoch: Int
  let seconds, train_loss, val_loss, top1, top5: Double
  let lr: [Double]
  let best: Bool

  init(_ figures: EpochMetrics, isBest: Bool) {
    epoch = figures.epoch
    seconds = figures.seconds
    train_loss = figures.trainLoss
    val_loss = figures.validationLoss
    top1 = figures.top1
    top5 = figures.top5
    lr = figures.learningRates
    best = isBest
  }
}

/// The JSON document at the end of a training.
struct EndDocument: Encodable {
  let event = "end"
  let run, end: String
  let epochs: Int
  let best_epoch: Int?
  let top1, top5: Double?
  let seconds: Double
  let omitted: [OmissionRow]

  init(_ tuner: FineTuner, run: String, end: FineTuner.End) {
    self.run = run
    self.end =
      switch end {
      case .finished: "finished"
      case .outOfPatience: "out_of_patience"
      case .outOfTime: "out_of_time"
      case .interrupted: "interrupted"
      }
    epochs = tuner.finishedEpochs
    best_epoch = tuner.best?.epoch
    top1 = tuner.best?.top1
    top5 = tuner.best?.top5
    seconds = tuner.totalSeconds
    omitted = OmissionRow.rows(tuner.omissions)
  }
}

/// The JSON document of a search for a learning rate.
struct RateDocument: Encodable {
  struct Point: Encodable {
    let lr, loss, smoothed_loss: Double
  }
  let schema = 1
  let suggestion: Double?
  let points: [Point]
  let omitted: [OmissionRow]
}
