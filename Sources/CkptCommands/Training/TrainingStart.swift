internal import TrainingCore
internal import ImageData
internal import FineTuning
internal import Foundation
internal import ModelZoo
internal import StateDictKit

extension TrainingScreen {
  /// Prints the images, the model, the weights and the parameters before the training begins.
  ///
  /// - Parameters:
  ///   - source: the path of the checkpoint with the weights; nil for training from scratch.
  ///   - run: the path of the run's folder; nil if nothing is written.
  ///   - isPlan: whether this is a dry run, which trains nothing.
  func begin(source: String?, run: String?, isPlan: Bool) {
    if common.json {
      showLine(StartDocument(tuner, source: source, run: run, isPlan: isPlan))
      return
    }
    showImages()
    let module = tuner.start.model.module
    let elements = module.parameters.reduce(0) { $0 + $1.count }
    print(
      Messages.line(
        "model     \(tuner.start.model.name): \(elements) parameters, images of "
          + "\(tuner.options.size) × \(tuner.options.size)"))
    showWeights(source)
    showPlan()
    if let run { print(Messages.line("run       \(run)" + (isPlan ? " (not written)" : ""))) }
    print("")
  }

  /// Prints the images, the parameters and the progress of a training that continues.
  ///
  /// - Parameters:
  ///   - run: the path of the run's folder.
  ///   - epochsBefore: the number of epochs for which the run was planned before.
  func resume(_ run: String, epochsBefore: Int) {
    if common.json {
      showLine(StartDocument(tuner, source: nil, run: run, isPlan: false))
      return
    }
    showImages()
    showPlan()
    print(
      Messages.line(
        "resume    \(run): \(tuner.finishedEpochs) of \(tuner.options.epochs) epochs are done"
          + (tuner.finishedSteps > 0
            ? ", and \(tuner.finishedSteps) of \(tuner.stepsPerEpoch) steps" : "")))
    if tuner.options.epochs != epochsBefore {
      switch tuner.options.schedule {
      case .cosine, .oneCycle:
        print("          rates go on as in a run of \(tuner.options.epochs) epochs from the start")
      case .constant, .step: break
      }
    }
    print("")
  }

  private func showImages() {
    let images = tuner.images
    let (training, validation) = (images.training.counts, images.validation.counts)
    let source =
      switch images.validationSource {
      case .folder(let path): path
      case .split(let share): "\(percentText(share)) split off"
      }
    print(
      Messages.line(
        "data      \(tuner.options.data): \(images.training.samples.count) images to train on, "
          + "\(images.validation.samples.count) to evaluate (\(source)), "
          + "\(images.classes.count) classes"))
    for index in images.classes.indices.prefix(20) {
      print(
        Messages.line(
          "          \(images.classes[index]): \(training[index]) + \(validation[index])"))
    }
    if images.classes.count > 20 {
      print("          and \(images.classes.count - 20) classes more")
    }
    if let most = training.max(), let least = training.min(), least > 0, most >= 3 * least {
      print(
        "          the largest class has \(numberText(Double(most) / Double(least))) times the "
          + "images of the smallest; --class-weights balanced or --sampler balanced makes up for it"
      )
    }
    if !images.unsplitClasses.isEmpty {
      Messages.warn(
        "not evaluated, since there is one image: "
          + images.unsplitClasses.joined(separator: ", "))
    }
  }

  private func showWeights(_ source: String?) {
    let start = tuner.start
    guard let source, let report = start.report else {
      print("weights   none: training from scratch, from random weights")
      return
    }
    let head = start.head.joined(separator: ", ")
    print(
      Messages.line(
        "weights   \(source): \(percentText(start.backboneShare)) of the backbone's "
          + "\(start.backboneElements.all) elements are loaded"))
    switch start.headSource {
    case .new: print(Messages.line("          the head is new: \(head)"))
    case .kept: print(Messages.line("          the head is the file's: \(head)"))
    }
    let others = start.newKeys.filter { !start.isHead($0) }
    if !others.isEmpty {
      print(
        Messages.line(
          "          not in the file, and new: \(others.prefix(5).joined(separator: ", "))"
            + (others.count > 5 ? " and \(others.count - 5) more" : "")))
    }
    for mismatch in report.mismatched.prefix(5) where !start.isHead(mismatch.key) {
      print(Messages.line("          another shape: \(mismatch)"))
    }
    let unused = report.unexpected
    if !unused.isEmpty {
      print(
        Messages.line(
          "          not the model's: \(unused.prefix(5).joined(separator: ", "))"
            + (unused.count > 5 ? " and \(unused.count - 5) more" : "")))
    }
  }

  private func showPlan() {
    let plan = tuner.plan
    print(
      "learns    \(plan.trainableCount) parameters of \(plan.trainableElements) elements"
        + (plan.frozen.parameters > 0
          ? "; \(plan.frozen.parameters) of \(plan.frozen.elements) are frozen" : ""))
    for group in plan.groups {
      print(
        Messages.line(
          "          \(group.name): \(group.keys.count) "
            + (group.keys.count == 1 ? "parameter" : "parameters")
            + ", \(group.elementCount) elements, lr \(numberText(group.learningRate))"))
    }
    if plan.trainableCount <= 8 {
      print(Messages.line("          " + plan.groups.flatMap(\.keys).joined(separator: ", ")))
    }
    if !tuner.fixedNorms.isEmpty {
      print(
        "          batch normalization of frozen parts stays in evaluation mode "
          + "(\(tuner.fixedNorms.count) layers)")
    }
  }
}
