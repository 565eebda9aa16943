internal import ModelZoo
internal import ArgumentParser
internal import FineTuning
internal import ImageData
internal import StateDictKit
internal import TrainingCore

struct EvaluateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Tell how well a model that \"ckpt finetune\" trained does on a folder of images.",
    discussion: """
      Of a DATA with val/ or test/ these images are taken; of the folder that the model was trained on, \
      those that were split off; else all. Classes and preprocessing come from the checkpoint.

      ckpt evaluate runs/head/best.pt flowers
      """)

  @Argument(help: "The checkpoint: best.pt or last.pt of a run.") var file: String
  @Argument(help: "The folder of images: one folder a class.") var data: String
  @Option(help: "The model, in place of the one that the checkpoint tells.") var model: String?
  @Flag(help: "Take all images of DATA, also those that the model was trained on.") var all = false
  @OptionGroup var reading: ImageReadingOptions
  @OptionGroup var common: CommonOptions

  func run() throws {
    reading.threading.apply()
    let saved = try FineTunedFile(contentsOf: file)
    let classifier = try saved.classifier(model: model)
    let images = try EvaluationImages(
      data, of: saved, classes: classifier.classes, takesAll: all)
    let (folder, part) = (images.folder, images.isHeldOut ? "validation" : "all")
    guard !folder.samples.isEmpty else {
      throw InputError(description: "there is no image to evaluate (\(folder.path))", hint: nil)
    }
    let cancellation = Cancellation()
    let watch = SignalWatch(cancellation, exitStatus: ExitStatus.of(.interrupted))
    defer { withExtendedLifetime(watch) {} }
    let line = LiveLine(isOn: !common.noProgress)
    defer { line.clear() }
    let evaluator = Evaluator(
      folder, classifier.preprocessing, batchSize: reading.batchSize,
      threads: reading.threading.threads, skipsBad: reading.skipBad)
    let (evaluation, omissions) = try evaluator.evaluate(classifier.model.module) { done in
      try cancellation.check()
      line.show("\(LiveLine.bar(done, folder.samples.count))  \(done) of \(folder.samples.count)")
    }
    line.clear()
    guard evaluation.imageCount > 0 else {
      throw InputError(description: "no image could be read (\(folder.path))", hint: nil)
    }
    if common.json {
      try printJSON(
        EvaluationDocument(
          evaluation, file: file, data: folder.path, part: part,
          weights: classifier.usesAverage ? "ema" : "model", omissions))
    } else {
      show(evaluation, folder, part)
      TrainingScreen.show(omissions)
    }
  }

  private func show(_ evaluation: Evaluation, _ folder: ImageFolder, _ part: String) {
    print(
      Messages.line(
        "\(evaluation.imageCount) images of \(folder.path)"
          + (part == "validation" ? ", held out from training" : "")))
    print(
      "top-1 \(percentText(evaluation.top1)), top-5 \(percentText(evaluation.top5)), loss "
        + numberText(evaluation.loss))
    print("")
    var rows = [["class", "images", "precision", "recall"]]
    for figures in evaluation.classFigures {
      rows.append([
        Messages.line(figures.name), "\(figures.imageCount)",
        figures.precision.map(percentText) ?? "-", figures.recall.map(percentText) ?? "-",
      ])
    }
    Table.print(rows, rightAligned: [1, 2, 3])
    let pairs = evaluation.confusedPairs
    guard !pairs.isEmpty else { return }
    print("")
    rows = [["taken for another", "images"]]
    for pair in pairs.prefix(10) {
      rows.append([Messages.line("\(pair.truth) as \(pair.predicted)"), "\(pair.count)"])
    }
    Table.print(rows, rightAligned: [1])
  }
}

/// The JSON document of `evaluate`.
private struct EvaluationDocument: Encodable {
  struct ClassRow: Encodable {
    let name: String
    let images: Int
    let precision, recall: Double?
  }

  let schema = 1
  let file, data, part, weights: String
  let top1, top5, loss: Double
  let images: Int
  let classes: [ClassRow]
  let confusion: [[Int]]
  let omitted: [OmissionRow]

  init(
    _ evaluation: Evaluation, file: String, data: String, part: String, weights: String,
    _ omissions: [EpochBatches.Omission]
  ) {
    (self.file, self.data, self.part, self.weights) = (file, data, part, weights)
    top1 = evaluation.top1
    top5 = evaluation.top5
    loss = evaluation.loss
    images = evaluation.imageCount
    classes = evaluation.classFigures.map {
      ClassRow(name: $0.name, images: $0.imageCount, precision: $0.precision, recall: $0.recall)
    }
    confusion = evaluation.confusion
    omitted = OmissionRow.rows(omissions)
  }
}

extension EvaluateCommand: CheckedCommand {
  func declareOptions(_ use: inout OptionUse) {
    use.decide(["model", "all"] + ImageReadingOptions.names)
  }
}
