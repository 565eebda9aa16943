public import ArgumentParser
internal import FineTuning
internal import StateDictKit

/// The command's options of a training; each is nil or empty if it is not given.
struct TrainingOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "What learns: all, head, or a pattern of parameters' keys. Repeatable. (default: all)",
      valueName: "all|head|pattern"))
  var train: [String] = []
  @Option(help: "The learning rate. (default: 0.001)") var lr: Double?
  @Option(help: "The learning rate of the head. (default: ten times --lr)") var headLr: Double?
  @Option(
    help: ArgumentHelp(
      "A learning rate for parameters that match; the last that matches counts. Repeatable.",
      valueName: "pattern=rate"))
  var lrFor: [String] = []
  @Option(
    help: "Multiply the learning rate by this from each layer to the one before it, such as 0.9.")
  var layerDecay: Double?
  @Option(help: "sgd, adam or adamw. (default: sgd)") var optimizer:
    FineTuningOptions.OptimizerName?
  @Option(help: "The momentum of sgd. (default: 0.9)") var momentum: Double?
  @Option(help: "The weight decay. (default: 0.001)") var weightDecay: Double?
  @Option(
    help: ArgumentHelp(
      "How rates change: constant, step:N,GAMMA, cosine or onecycle. (default: cosine)",
      valueName: "schedule"))
  var schedule: String?
  @Option(help: "In so many epochs the rates rise from a hundredth. (default: 0)") var warmup: Int?
  @Option(help: "How many epochs are trained. (default: 10)") var epochs: Int?
  @Option(help: "How many images the model sees at once. (default: 32)") var batchSize: Int?
  @Option(help: "How many batches make a step. (default: 1)") var accumulate: Int?
  @Option(help: "What chance begins with. (default: 0)") var seed: UInt64?
  @Option(help: "End when so much time is over: 90s, 30m, 2h; can be continued.") var maxTime:
    String?
  @Option(help: "End after so many epochs without a better result.") var patience: Int?

  @Option(help: "The height and width that the model sees, in pixels. (default: 224)")
  var size: Int?
  @Option(
    help: "The shorter side of an image before its middle is cut out, in pixels. (default: 256)")
  var resize: Int?
  @Option(
    help: ArgumentHelp(
      "none, flip, standard (RandomResizedCrop, flip) or randaugment. (default: standard)"))
  var augment: FineTuningOptions.Augmentation?
  @Option(help: "The mean of each color: R,G,B. (default: ImageNet's)") var mean: String?
  @Option(help: "The standard deviation of each color: R,G,B. (default: ImageNet's)")
  var std: String?
  @Option(help: "Mix images in pairs; the parameter of the Beta distribution. (default: 0)")
  var mixup: Double?
  @Option(help: "Erase a random part of an image with this probability. (default: 0)")
  var erase: Double?
  @Flag(help: "Turn images as their EXIF orientation says.") var exif = false
  @Option(
    help: "shuffled, or balanced, which shows all classes equally often. (default: shuffled)")
  var sampler: FineTuningOptions.Sampler?
  @Option(help: "The probability of the model's dropout layers. (default: the model's own)")
  var dropout: Double?
  @Flag(
    help: "Let batch normalization in a frozen backbone go on updating its statistics.")
  var trainBatchnorm = false

  @Option(help: "Spread this part of each target over all classes. (default: 0)")
  var labelSmoothing: Double?
  @Option(help: "balanced: let each class count by the inverse of its number of images.")
  var classWeights: ClassWeights?
  @Option(help: "Scale gradients down to this norm, all together.") var clipNorm: Double?
  @Option(
    help: "Evaluate and keep a moving average of the weights with this decay, such as 0.999.")
  var ema: Double?
  @Flag(help: "Leave out images that cannot be read, and list them.") var skipBad = false

  /// The values of --class-weights.
  enum ClassWeights: String, ExpressibleByArgument, CaseIterable { case balanced }

  /// The options that may be given with --resume.
  static let resumable = ["epochs", "max-time"]
  /// The options that have no effect on the few steps of --find-lr.
  static let ofWholeTraining = [
    "epochs", "schedule", "warmup", "patience", "max-time", "ema",
  ]
  /// The names of all options that have an effect on the training.
  static let names =
    [
      "train", "lr", "head-lr", "lr-for", "layer-decay", "optimizer", "momentum", "weight-decay",
      "batch-size", "accumulate", "seed", "size", "resize", "augment", "mean", "std", "mixup",
      "erase", "exif", "sampler", "dropout", "train-batchnorm", "label-smoothing",
      "class-weights", "clip-norm",
    ] + ofWholeTraining

  /// The options of the training, with the defaults of those that are not given.
  ///
  /// - Throws: `UsageError` for a value that cannot be parsed; `FineTuningError` for an invalid
  ///   schedule.
  func options() throws -> FineTuningOptions {
    var all = FineTuningOptions()
    func set<Value>(_ path: WritableKeyPath<FineTuningOptions, Value>, _ value: Value?) {
      if let value { all[keyPath: path] = value }
    }
    if !train.isEmpty { all.train = train }
    set(\.learningRate, lr)
    all.headLearningRate = headLr
    all.learningRates = lrFor
    all.layerDecay = layerDecay
    set(\.optimizer, optimizer)
    set(\.momentum, momentum)
    set(\.weightDecay, weightDecay)
    set(\.schedule, try schedule.map { try Schedule($0) })
    set(\.warmup, warmup)
    set(\.epochs, epochs)
    set(\.batchSize, batchSize)
    set(\.accumulate, accumulate)
    set(\.seed, seed)
    all.maxTime = try maxTime.map(Self.seconds)
    all.patience = patience
    set(\.size, size)
    // The ratio 256 / 224 of torchvision's evaluation presets, rounded to nearest.
    set(
      \.resize, resize ?? size.map { ($0.multipliedReportingOverflow(by: 8).partialValue + 3) / 7 })
    set(\.augment, augment)
    set(\.mean, try mean.map { try Self.numbers($0, "--mean") })
    set(\.standardDeviation, try std.map { try Self.numbers($0, "--std") })
    set(\.mixup, mixup)
    set(\.erase, erase)
    all.exif = exif
    set(\.sampler, sampler)
    all.dropout = dropout
    all.trainsBatchNorm = trainBatchnorm
    set(\.labelSmoothing, labelSmoothing)
    all.balancesClasses = classWeights == .balanced
    all.clipNorm = clipNorm
    all.ema = ema
    all.skipsBad = skipBad
    return all
  }

  /// Parses a time such as `90`, `90s`, `30m`, `2h` or `1d`, in seconds.
  ///
  /// - Throws: `UsageError`.
  static func seconds(_ written: String) throws -> Double {
    let units: [Character: Double] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
    let unit = written.last.flatMap { units[$0] }
    guard let number = Double(unit == nil ? written[...] : written.dropLast()), number > 0,
      number.isFinite
    else {
      throw UsageError(description: "no time: \"\(written)\"", hint: "write 90s, 30m or 2h")
    }
    return number * (unit ?? 1)
  }

  private static func numbers(_ written: String, _ option: String) throws -> [Double] {
    let parts = written.split(separator: ",", omittingEmptySubsequences: false).map {
      Double($0)
    }
    let numbers = parts.compactMap(\.self)
    guard numbers.count == parts.count else {
      throw UsageError(
        description: "\(option) takes three numbers, not \"\(written)\"",
        hint: "write them as in 0.485,0.456,0.406")
    }
    return numbers
  }
}

extension FineTuningOptions.OptimizerName: ExpressibleByArgument {}
extension FineTuningOptions.Augmentation: ExpressibleByArgument {}
extension FineTuningOptions.Sampler: ExpressibleByArgument {}
