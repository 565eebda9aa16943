internal import ModelZoo
public import CkptPlatform
public import ImageData
internal import TrainingCore
internal import CkptStateDicts

/// Fine-tunes a model on a folder of images: the training loop and its state.
///
/// The result depends only on the options, the images and the weights. A training that was stopped
/// and continued on the same number of threads ends with the same bytes as one that was not
/// stopped.
public final class FineTuner {
  /// The reason why ``run(until:observe:save:)`` ended.
  public enum End: Sendable, Hashable {
    /// All epochs have been trained.
    case finished
    /// No epoch was better than the best one for as many epochs as ``FineTuningOptions/patience``.
    case outOfPatience
    /// The time ``FineTuningOptions/maxTime`` has passed.
    case outOfTime
    /// The caller cancelled the training.
    case interrupted
  }

  /// The options of the training.
  public let options: FineTuningOptions
  /// The training and validation images.
  public let images: TrainingImages
  /// The model, whose weights the training changes.
  public let start: StartingModel
  /// The parameters that are trained, with their learning rates.
  public let plan: ParameterPlan
  /// The keys of the batch norms that stay in evaluation mode, so that their running statistics do
  /// not change.
  public private(set) var fixedNorms: [String] = []
  /// The images that could not be read and were skipped, so far.
  public private(set) var omissions: [EpochBatches.Omission]
  /// The evaluation of the best epoch; nil before the first epoch has finished.
  public internal(set) var bestEvaluation: Evaluation?
  /// Whether the features of the training images are computed only once; false before
  /// ``run(until:observe:save:)``.
  public private(set) var keepsTrainingFeatures = false

  // Saved and restored by `RunCheckpoint`.
  let optimizer: any Optimizer
  let schedule: RateSchedule
  let ema: ExponentialMovingAverage?
  let random: RandomSource
  var progress = RunProgress()
  let loader: DataLoader
  private let evaluator: Evaluator
  let loss: CrossEntropyLoss
  private let parameters: [Parameter]
  private var module: Module { start.model.module }
  private var trainingFeatures: FeatureCache?
  private var validationFeatures: FeatureCache?

  /// Creates a fine-tuning that has not begun.
  ///
  /// - Parameters:
  ///   - options: the options.
  ///   - images: the training and validation images.
  ///   - start: the model with its weights.
  ///   - omissions: images that are missing in `images` because they could not be read.
  ///   - threads: the number of threads that decode; nil for as many as there are processors.
  /// - Throws: ``FineTuningError``, `PatternError` or `TrainingError` if an option is invalid or
  ///   does not fit the model.
  public init(
    _ options: FineTuningOptions, _ images: TrainingImages, _ start: StartingModel,
    omissions: [EpochBatches.Omission] = [], threads: Int? = nil
  ) throws {
    try options.check()
    (self.options, self.images, self.start, self.omissions) = (options, images, start, omissions)
    plan = try ParameterPlan(options, of: start)
    loader = DataLoader(
      images.training, transform: options.trainingTransform, batchSize: options.batchSize,
      order: options.sampler == .balanced ? .balanced : .shuffled, joinsSingle: true,
      seed: options.seed,
      threads: threads, decoder: ImageDecoder(appliesOrientation: options.exif),
      skipsBad: options.skipsBad)
    evaluator = Evaluator(
      images.validation, Preprocessing(options), batchSize: options.batchSize, threads: threads,
      skipsBad: options.skipsBad)
    optimizer = try Self.makeOptimizer(options, plan)
    parameters = plan.groups.flatMap(\.parameters)
    let batches = loader.batchCount
    stepsPerEpoch = (batches + options.accumulate - 1) / options.accumulate
    schedule = try RateSchedule(options, optimizer, stepsPerEpoch: stepsPerEpoch)
    ema = try options.ema.map { try ExponentialMovingAverage(of: start.model.module, decay: $0) }
    random = RandomSource(seed: options.seed &+ 1)
    start.model.module.useRandomSource(random)
    var weights: Variable?
    if options.balancesClasses {
      // n / (classes × n of the class), as in scikit-learn's "balanced".
      let counts = images.training.counts
      let all = Double(images.training.samples.count)
      weights = try Variable(
        counts.map { Float(all / (Double(counts.count) * Double(max($0, 1)))) },
        shape: [counts.count])
    }
    loss = CrossEntropyLoss(weight: weights, labelSmoothing: options.labelSmoothing)
    setMode()
  }

  /// The number of optimizer steps in an epoch, if no image is skipped.
  public let stepsPerEpoch: Int
  /// The number of epochs that have been trained and evaluated.
  public var finishedEpochs: Int { progress.epoch }
  /// The number of steps taken in the current epoch.
  public var finishedSteps: Int { progress.step }
  /// The metrics of the finished epochs.
  public var metrics: [EpochMetrics] { progress.metrics }
  /// The metrics of the best epoch; nil before the first epoch has finished.
  public var best: EpochMetrics? { progress.best }
  /// The time spent on training and evaluation, in seconds, including the time before the training
  /// was stopped and continued.
  public var totalSeconds: Double { progress.totalSeconds }

  /// Creates the optimizer with the parameter groups of the plan.
  ///
  /// - Throws: `TrainingError` for an invalid option.
  private static func makeOptimizer(_ options: FineTuningOptions, _ plan: ParameterPlan) throws
    -> any Optimizer
  {
    func groups<Options: OptimizerOptions>() -> [ParameterGroup<Options>] {
      plan.groups.map { group in
        ParameterGroup(group.parameters) { $0.learningRate = group.learningRate }
      }
    }
    let rate = options.learningRate
    return switch options.optimizer {
    case .sgd:
      try SGD(
        .init(
          learningRate: rate, momentum: options.momentum, weightDecay: options.weightDecay),
        groups: groups())
    case .adam:
      try Adam(.init(learningRate: rate, weightDecay: options.weightDecay), groups: groups())
    case .adamw:
      try Adam(.adamW(learningRate: rate, weightDecay: options.weightDecay), groups: groups())
    }
  }

  /// Sets the model to training mode, except its frozen parts.
  private func setMode() {
    fixedNorms = module.trainUnlessFrozen()
    guard options.trainsBatchNorm else { return }
    for case let norm as BatchNorm in module.namedModules.map(\.module) { norm.train() }
    fixedNorms = []
  }

  // MARK: - Training

  /// Trains until the last epoch is finished or the training is stopped, which may be in the middle
  /// of an epoch.
  ///
  /// - Parameters:
  ///   - cancellation: stops the training after the current step.
  ///   - observe: is called with each event, such as the end of a step or an epoch.
  ///   - save: saves the training, such as by ``RunFolder/save(_:isBest:)``. It is called after
  ///     each epoch, with whether it is the best so far, and when the training is stopped, with
  ///     false.
  /// - Returns: the reason why the training ended.
  /// - Throws: `ImageError` for an image that cannot be read, unless those are skipped;
  ///   ``FineTuningError/notFinite(what:position:)`` for a loss or an output that is not finite;
  ///   `TrainingError`; what `save` throws.
  public func run(
    until cancellation: Cancellation = Cancellation(),
    observe: (FineTuningEvent) -> Void = { _ in }, save: (_ isBest: Bool) throws -> Void
  ) throws -> End {
    let clock = ContinuousClock()
    var mark = clock.now
    /// Adds the time since the last call to the progress.
    func addTime() {
      let now = clock.now
      let seconds = Double((now - mark) / .seconds(1))
      mark = now
      progress.seconds += seconds
      progress.totalSeconds += seconds
    }
    func isOver() -> Bool { options.maxTime.map { progress.totalSeconds >= $0 } ?? false }
    func end() -> End? { cancellation.isCancelled ? .interrupted : isOver() ? .outOfTime : nil }

    guard progress.epoch < options.epochs else { return .finished }
    do {
      try keepFeatures(cancellation, observe)
    } catch is CancelledError {
      try save(false)
      return .interrupted
    }
    while progress.epoch < options.epochs {
      if isOutOfPatience { return .outOfPatience }
      if progress.step == 0 { progress.learningRates = optimizer.learningRates }
      setMode()
      let batches = try batches(ofEpoch: progress.epoch, startingAt: progress.batch)
      while progress.step < stepsPerEpoch {
        let rates = optimizer.learningRates
        guard try takeStep(batches) else { break }
        addTime()
        observe(.step(stepFigures(rates)))
        if let end = end() {
          note(batches.omissions)
          try save(false)
          return end
        }
      }
      note(batches.omissions)
      guard progress.imageCount > 0 else {
        throw ImageError.emptyClasses(folder: images.training.path, images.classes)
      }
      let evaluation: Evaluation
      do {
        evaluation = try evaluate(cancellation, observe)
      } catch is CancelledError {
        addTime()
        try save(false)
        return .interrupted
      }
      addTime()
      let figures = EpochMetrics(
        epoch: progress.epoch + 1, seconds: progress.seconds,
        trainLoss: progress.lossSum / Double(progress.imageCount),
        validationLoss: evaluation.loss, top1: evaluation.top1, top5: evaluation.top5,
        learningRates: progress.learningRates)
      let isBest = progress.endEpoch(figures)
      if isBest { bestEvaluation = evaluation }
      schedule.epochEnded()
      try save(isBest)
      addTime()
      observe(.epoch(figures, isBest: isBest))
      if progress.epoch < options.epochs, let end = end() { return end }
    }
    return isOutOfPatience && progress.epoch < options.epochs ? .outOfPatience : .finished
  }

  /// Whether the best epoch is at least as many epochs ago as ``FineTuningOptions/patience``.
  private var isOutOfPatience: Bool {
    guard let patience = options.patience, let best = progress.bestEpoch else { return false }
    return progress.epoch - best >= patience
  }

  /// Adds up the gradients of the next `accumulate` batches and takes an optimizer step.
  ///
  /// The gradient is that of the mean loss of the step's images.
  ///
  /// - Returns: false if there are no batches left.
  /// - Throws: as ``run(until:observe:save:)``.
  private func takeStep(_ batches: LabeledBatches) throws -> Bool {
    // The number of images in the step, if none is skipped.
    let first = min(progress.batch, loader.batchCount)
    let expected = (first..<min(first + options.accumulate, loader.batchCount)).reduce(0) {
      $0 + loader.samples(of: $1, count: loader.folder.samples.count).count
    }
    optimizer.zeroGrad()
    var count = 0
    for _ in 0..<options.accumulate {
      guard let batch = try batches.next() else { break }
      try addGradients(of: batch, expected: expected)
      count += batch.labels.count
      progress.batch = batch.numbers.upperBound
    }
    guard count > 0 else { return false }
    // Each batch counted by its share of the expected images, and some were skipped.
    if options.accumulate > 1, count != expected {
      parameters.scaleGrad(by: Double(expected) / Double(count))
    }
    if let norm = options.clipNorm { try parameters.clipGradNorm(maxNorm: norm) }
    try optimizer.step()
    try ema?.update()
    progress.step += 1
    let isLast = progress.step == stepsPerEpoch && progress.epoch + 1 == options.epochs
    schedule.stepEnded(isLast: isLast)
    return true
  }

  /// Computes the gradients of a batch and adds them to those of the step.
  ///
  /// - Parameter expected: the number of images in the step, by which the mean loss is weighted.
  /// - Throws: ``FineTuningError/notFinite(what:position:)``; `TrainingError`.
  private func addGradients(of batch: LabeledBatch, expected: Int) throws {
    let outputs = try (trainingFeatures?.head ?? module)(batch.inputs)
    let mean = try loss(outputs, batch.targets)
    let value = try mean.item()
    guard value.isFinite else {
      throw FineTuningError.notFinite(
        what: "the loss",
        position: "epoch \(progress.epoch + 1), step \(progress.step + 1)")
    }
    let count = batch.labels.count
    if options.accumulate > 1 {
      try (mean * (Double(count) / Double(max(expected, 1)))).backward()
    } else {
      try mean.backward()
    }
    progress.lossSum += value * Double(count)
    progress.imageCount += count
    if options.mixup == 0 {
      let predicted = try outputs.detached().argmax().integers()
      progress.rightCount += zip(predicted, batch.labels).count { $0 == $1 }
    }
  }

  private func stepFigures(_ rates: [Double]) -> FineTuningEvent.Step {
    FineTuningEvent.Step(
      epoch: progress.epoch + 1, step: progress.step, stepCount: stepsPerEpoch,
      loss: progress.lossSum / Double(max(progress.imageCount, 1)),
      accuracy: options.mixup == 0
        ? Double(progress.rightCount) / Double(max(progress.imageCount, 1)) : nil,
      learningRates: rates, images: (progress.imageCount, loader.folder.samples.count),
      seconds: progress.seconds)
  }

  /// The training batches of an epoch, from the batch with the index `first` on.
  ///
  /// - Throws: `ImageError.badRequest` if the options do not give valid batches.
  func batches(ofEpoch epoch: Int, startingAt first: Int = 0) throws -> LabeledBatches {
    try LabeledBatches(
      loader, features: trainingFeatures,
      mixup: options.mixup > 0 ? Mixup(alpha: options.mixup) : nil, epoch: epoch,
      startingAt: min(first, loader.batchCount))
  }

  /// Adds skipped images to ``omissions``, each file once.
  func note(_ more: [EpochBatches.Omission]) {
    let known = Set(omissions.map(\.path))
    omissions += more.filter { !known.contains($0.path) }
  }

  // MARK: - Evaluation

  /// Evaluates the model, with averaged weights if there are any, on the validation images.
  ///
  /// - Throws: as ``run(until:observe:save:)``; `CancelledError`.
  private func evaluate(_ cancellation: Cancellation, _ observe: (FineTuningEvent) -> Void) throws
    -> Evaluation
  {
    let count = images.validation.samples.count
    func report(_ done: Int) throws {
      try cancellation.check()
      observe(.evaluating(done: done, of: count))
    }
    func measure() throws -> Evaluation {
      let (evaluation, omitted) = try evaluator.evaluate(
        module, features: validationFeatures, progress: report)
      note(omitted)
      return evaluation
    }
    return try ema?.withAveragedWeights(measure) ?? measure()
  }

  // MARK: - Kept features

  /// The key of the top-level module that contains all trained parameters; nil if there are
  /// several.
  private var headChildKey: String? {
    let parts = Set(plan.groups.flatMap(\.keys).map { $0.prefix { $0 != "." } })
    guard parts.count == 1, let part = parts.first else { return nil }
    return String(part)
  }

  /// If only the last top-level module is trained, computes its inputs (the features) once: for the
  /// validation images, and for the training images if these are the same in every epoch.
  ///
  /// - Throws: as ``run(until:observe:save:)``; `CancelledError`.
  private func keepFeatures(
    _ cancellation: Cancellation, _ observe: (FineTuningEvent) -> Void
  ) throws {
    guard !options.trainsBatchNorm, let key = headChildKey, options.epochs > 1 else { return }
    let all =
      images.validation.samples.count
      + (options.hasFixedInputs ? images.training.samples.count : 0)
    var before = 0
    func report(_ done: Int) throws {
      try cancellation.check()
      observe(.features(done: before + done, of: all))
    }
    if options.hasFixedInputs {
      var whole = loader
      whole.order = .asFound
      setMode()
      trainingFeatures = try FeatureCache.make(of: whole, module, head: key, progress: report)
      keepsTrainingFeatures = trainingFeatures != nil
      guard keepsTrainingFeatures else { return }
      before = images.training.samples.count
      note(trainingFeatures?.omissions ?? [])
    }
    module.eval()
    validationFeatures = try FeatureCache.make(
      of: evaluator.loader, module, head: key, progress: report)
    note(validationFeatures?.omissions ?? [])
  }
}
