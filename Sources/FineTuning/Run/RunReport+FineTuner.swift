internal import ModelZoo
internal import ImageData

extension RunReport {
  /// The report of a fine-tuning, with the epochs that are finished.
  init(_ tuner: FineTuner) {
    let (images, start, plan) = (tuner.images, tuner.start, tuner.plan)
    var facts = [
      ("model", "\(start.model.name), images of \(tuner.options.size) × \(tuner.options.size)"),
      (
        "images",
        "\(images.training.samples.count) to train on, "
          + "\(images.validation.samples.count) to evaluate"
      ),
    ]
    if let weights = tuner.options.weights {
      facts.append(("weights", weights))
    } else {
      facts.append(("weights", "none: from scratch"))
    }
    facts.append(
      (
        "learns",
        plan.groups.map { "\($0.name) (\($0.keys.count) parameters, lr \($0.learningRate))" }
          .joined(separator: ", ")
      ))
    if !tuner.omissions.isEmpty { facts.append(("left out", "\(tuner.omissions.count) images")) }
    self.init(
      title: "\(start.model.name) on \(tuner.options.data)", facts: facts,
      metrics: tuner.metrics, bestEpoch: tuner.best?.epoch, evaluation: tuner.bestEvaluation,
      arguments: FineTuningOptions.fields.map {
        ($0.name, $0.value(tuner.options).json)
      }, decoder: Preprocessing(tuner.options).decoder)
  }
}
