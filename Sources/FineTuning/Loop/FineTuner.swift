internal import ModelZoo
public import CkptPlatform
public import ImageData
internal import TrainingCore
internal import CkptStateDicts

/// Fine-tunes a model on a folder of images: the training loop, from which everything that is saved comes.
///
/// The result depends on the options, the images and the weights alone; a training that was stopped and continued ends
/// with the same bytes as one that was not, on the same number of threads.
public final class FineTuner {
  /// Why ``run(until:observe:save:)`` ended.
  public enum End: Sendable, Hashable {
    /// All epochs are trained.
    case finished
    /// There was no better result for `patience` epochs.
    case outOfPatience
    /// The time that the options allow is over.
    case outOfTime
    /// The caller asked for it.
    case interrupted
  }

  /// The options.
  public let options: FineTuningOptions
  /// The images.
  public let images: TrainingImages
  /// The model, which learns.
  public let start: StartingModel
  /// What learns, at which rates.
  public let plan: ParameterPlan
  /// The keys of batch norms whose statistics stay as they are.
  public private(set) var fixedNorms: [String] = []
  /// Images that could not be read, and were left out.
  public private(set) var omissions: [EpochBatches.Omission]
  /// The evaluation of the best epoch; nil before the first.
  public internal(set) var bestEvaluation: Evaluation?
  /// Whether the features of the frozen part are computed once for training; known when training has begun.
  public private(set) var keepsTrainingFeatures = false

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

  /// A fine-tuning that has not begun.
  ///
  /// - Parameters:
  ///   - options: what decides the result.
  ///   - images: the images.
  ///   - start: the model with its weights.
  ///   - omissions: images that were left out already.
  ///   - threads: the number of threads that decode; nil for as many as there are processors.
  /// - Throws: ``FineTuningError``, `PatternError` and `TrainingError` for options that do not fit the model.
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

  /// The number of optimizer steps of an epoch.
  public let stepsPerEpoch: Int
  /// The number of epochs that are trained and evaluated.
  public var finishedEpochs: Int { progress.epoch }
  /// The number of steps of the epoch that has begun.
  public var finishedSteps: Int { progress.step }
  /// The figures of the epochs that are done.
  public var metrics: [EpochMetrics] { progress.metrics }
  /// The figures of the best epoch.
  public var best: EpochMetrics? { progress.best }
  /// The time that was spent on training and evaluating, in seconds, with that of the runs that this one continues.
  public var totalSeconds: Double { progress.totalSeconds }

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

  /// Sets training mode, but for what is frozen.
  private func setMode() {
    fixedNorms = module.trainUnlessFrozen()
    guard options.trainsBatchNorm else { return }
    for case let norm as BatchNorm in module.namedModules.map(\.module) { norm.train() }
    fixedNorms = []
  }

  // MARK: - Training

  /// Trains until the last epoch, or until something ends it early, which may be in the middle of an epoch.
  ///
  /// - Parameters:
  ///   - cancellation: ends the training after the step that is being computed.
  ///   - observe: is told of each step and epoch.
  ///   - save: saves what ``RunFolder`` keeps: called after each epoch and where the training ends early. It is told
  ///     whether the epoch is the best one yet.
  /// - Returns: why it ended.
  /// - Throws: `ImageError` for an image that cannot be read, unless those are skipped; ``FineTuningError`` if a loss is
  ///   infinite or no number; `TrainingError`; what `save` throws.
  public func run(
    until cancellation: Cancellation = Cancellation(),
    observe: (FineTuningEvent) -> Void = { _ in }, save: (_ isBest: Bool) throws -> Void
  ) throws -> End {
    let clock = ContinuousClock()
    var mark = clock.now
    /// Adds the time since it was called last.
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
      let batches = try TrainingBatches(
        loader, features: trainingFeatures, options, epoch: progress.epoch,
        startingAt: min(progress.step * options.accumulate, loader.batchCount))
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

  /// Whether there was no better result for as many epochs as the options allow.
  private var isOutOfPatience: Bool {
    guard let patience = options.patience, let best = progress.bestEpoch else { return false }
    return progress.epoch - best >= patience
  }

  /// Computes gradients of as many batches as make a step, and takes it.
  ///
  /// - Returns: false if there is no batch left.
  private func takeStep(_ batches: TrainingBatches) throws -> Bool {
    // What the images of a step count together is known before they are read.
    let first = progress.step * options.accumulate
    let expected = (first..<min(first + options.accumulate, loader.batchCount)).reduce(0) {
      $0 + loader.samples(of: $1, count: loader.folder.samples.count).count
    }
    optimizer.zeroGrad()
    var isEmpty = true
    for _ in 0..<options.accumulate {
      guard let batch = try batches.next() else { break }
      isEmpty = false
      try addGradients(of: batch, expected: expected)
    }
    guard !isEmpty else { return false }
    if let norm = options.clipNorm { try parameters.clipGradNorm(maxNorm: norm) }
    try optimizer.step()
    try ema?.update()
    progress.step += 1
    let isLast = progress.step == stepsPerEpoch && progress.epoch + 1 == options.epochs
    schedule.stepEnded(isLast: isLast)
    return true
  }

  private func addGradients(of batch: TrainingBatch, expected: Int) throws {
    let outputs =
      trainingFeatures == nil
      ? try module(batch.inputs) : try headChild?(batch.inputs) ?? module(batch.inputs)
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

  private func note(_ more: [EpochBatches.Omission]) {
    let known = Set(omissions.map(\.path))
    omissions += more.filter { !known.contains($0.path) }
  }

  // MARK: - Evaluation

  private func evaluate(_ cancellation: Cancellation, _ observe: (FineTuningEvent) -> Void) throws
    -> Evaluation
  {
    let count = images.validation.samples.count
    func report(_ done: Int) throws {
      try cancellation.check()
      observe(.evaluating(done: done, of: count))
    }
    func measure() throws -> Evaluation {
      guard let features = validationFeatures, let child = headChild else {
        let (evaluation, omitted) = try evaluator.evaluate(module, progress: report)
        note(omitted)
        return evaluation
      }
      module.eval()
      var tally = EvaluationTally(images.validation)
      let order = Array(0..<count)
      for start in stride(from: 0, to: count, by: options.batchSize) {
        let batch = order[start..<min(count, start + options.batchSize)]
        guard let kept = try features.batch(batch) else { continue }
        let logits = try noGrad { try child(kept.features) }
        try tally.add(logits, indices: kept.indices)
        try report(tally.count)
      }
      return tally.evaluation
    }
    return try ema?.withAveragedWeights(measure) ?? measure()
  }

  // MARK: - Features that are kept

  /// The key of the top-level part that holds everything that learns; nil if there is more than one such part.
  private var headChildKey: String? {
    let parts = Set(plan.groups.flatMap(\.keys).map { $0.prefix { $0 != "." } })
    guard parts.count == 1, let part = parts.first else { return nil }
    return String(part)
  }

  private var headChild: Module? { headChildKey.flatMap { module.module(at: $0) } }

  /// Computes the features of the validation images, and of the training images if these are always the same numbers,
  /// where everything that learns is behind them.
  private func keepFeatures(
    _ cancellation: Cancellation, _ observe: (FineTuningEvent) -> Void
  ) throws {
    guard !options.trainsBatchNorm, let key = headChildKey, headChild != nil,
      options.epochs > 1
    else { return }
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
      trainingFeatures = try FeatureCache.make(of: whole, module, child: key, progress: report)
      keepsTrainingFeatures = trainingFeatures != nil
      guard keepsTrainingFeatures else { return }
      before = images.training.samples.count
      note(trainingFeatures?.omissions ?? [])
    }
    module.eval()
    validationFeatures = try FeatureCache.make(
      of: evaluator.loader, module, child: key, progress: report)
    note(validationFeatures?.omissions ?? [])
  }
}
