internal import ArgumentParser
internal import FineTuning
internal import ImageData
internal import StateDictKit
internal import TrainingCore

struct PredictCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "predict",
    abstract: "Classify images by a model that \"ckpt finetune\" trained.",
    discussion: """
      Classes, preprocessing and the model come from the checkpoint. Of a folder, all images inside \
      are taken.

      ckpt predict runs/head/best.pt photo.jpg
      ckpt predict runs/head/best.pt holiday/ --top 1 --json
      """)

  @Argument(help: "The checkpoint: best.pt or last.pt of a run.") var file: String
  @Argument(help: "The images, or folders of them.") var images: [String]
  @Option(help: "The model, in place of the one that the checkpoint tells.") var model: String?
  @Option(help: "How many classes are named for each image.") var top = 5
  @OptionGroup var reading: ImageReadingOptions
  @OptionGroup var common: CommonOptions

  func validate() throws {
    guard (1...1_000_000).contains(top) else { throw ValidationError("--top is at least 1") }
  }

  func run() throws {
    reading.threading.apply()
    let classifier = try FineTunedFile(contentsOf: file).classifier(model: model)
    let paths = try images.flatMap { path in
      Folder.exists(at: path) ? try ImageFolder.images(below: path) : [path]
    }
    guard !paths.isEmpty else {
      throw InputError(
        description: "there is no image in \(images.joined(separator: ", "))",
        hint: "images end in " + ImageFolder.endings.joined(separator: " "))
    }
    let cancellation = Cancellation()
    let watch = SignalWatch(cancellation, exitStatus: ExitStatus.of(.interrupted))
    defer { withExtendedLifetime(watch) {} }
    let line = LiveLine(isOn: !common.noProgress)
    defer { line.clear() }
    var rows: [PredictionDocument.Row] = []
    var count = 0
    let predictor = Predictor(
      classifier, batchSize: reading.batchSize, threads: reading.threading.threads)
    let omissions = try predictor.predict(paths, top: top, skipsBad: reading.skipBad) {
      predictions in
      try cancellation.check()
      line.clear()
      for prediction in predictions {
        if common.json {
          rows.append(PredictionDocument.Row(prediction))
        } else {
          show(prediction)
        }
      }
      count += predictions.count
      line.show("\(count) of \(paths.count) images")
    }
    line.clear()
    if common.json {
      try printJSON(
        PredictionDocument(
          file: file, weights: classifier.usesAverage ? "ema" : "model",
          omitted: OmissionRow.rows(omissions)), listing: "predictions", rows)
    } else {
      TrainingScreen.show(omissions)
    }
    if omissions.count == paths.count {
      throw InputError(description: "no image could be read", hint: nil)
    }
  }

  private func show(_ prediction: Predictor.Prediction) {
    let classes = prediction.top.map { "\($0.name) \(percentText($0.probability))" }
    print(Messages.line("\(prediction.path): \(classes.joined(separator: ", "))"))
  }
}

/// The JSON document of `predict`.
private struct PredictionDocument: Encodable {
  struct Candidate: Encodable {
    let `class`: String
    let index: Int
    let probability: Double
  }
  struct Row: Encodable {
    let image: String
    let logits: [Float]
    let top: [Candidate]

    init(_ prediction: Predictor.Prediction) {
      image = prediction.path
      logits = prediction.logits
      top = prediction.top.map {
        Candidate(class: $0.name, index: $0.index, probability: $0.probability)
      }
    }
  }

  let schema = 1
  let file, weights: String
  let omitted: [OmissionRow]
  let predictions: [Row] = []
}

extension PredictCommand: CheckedCommand {
  func declareOptions(_ use: inout OptionUse) {
    use.decide(["model", "top"] + ImageReadingOptions.names)
  }
}
