internal import ArgumentParser
internal import FineTuning
internal import ImageData
internal import ModelZoo
internal import StateDictKit
internal import TrainingCore

struct FinetuneCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "finetune",
    abstract: "Fine-tune a model on a folder of images, from somebody else's weights.",
    discussion: """
      DATA has train/ and val/ (or test/), each with a folder a class; or it is a folder of classes, of \
      which a part is split off. RUN gets best.pt and last.pt, which PyTorch loads, figures and a \
      report. Ctrl-C ends after the step and saves; --resume RUN goes on.

      ckpt finetune flowers --model resnet18 --weights resnet18.pth --train head -o runs/head
      ckpt finetune --resume runs/head
      """)

  @Argument(help: "The folder of images.") var data: String?
  @Option(
    help: """
      The model: a name such as resnet18 or mobilenet_v2, or a description, FILE.yml; its classes \
      are counted.
      """
  )
  var model: String?
  @Option(help: "The checkpoint with the weights; without it, training begins from scratch.")
  var weights: String?
  @Option(
    name: .shortAndLong, help: ArgumentHelp("The folder that the run writes.", valueName: "run"))
  var output: String?
  @Option(help: ArgumentHelp("Go on with a run that was stopped.", valueName: "run"))
  var resume: String?
  @Flag(help: "Replace RUN if it is a run.") var force = false
  @Flag(help: "Print what would be trained; write nothing.") var dryRun = false
  @Flag(help: "Look for a learning rate with a few steps, and print it; write nothing.")
  var findLr = false
  @Option(help: "Split this part of each class off for validation. (default: 0.2)") var val: String?
  @Option(help: "The key of the model's head, where the model does not tell.") var head: String?
  @Flag(help: "Take the head of the weights, too, though their classes may be others.")
  var keepHead = false
  @Option(
    help: ArgumentHelp(
      "Fail if less than this part of the backbone is in the weights. (default: 50%)",
      valueName: "share"))
  var minLoaded: String?
  @Option(help: "Where in the checkpoint the state dict is: keys joined by /.") var at: String?
  @OptionGroup var threading: ThreadOptions
  @OptionGroup(title: "How it is trained") var training: TrainingOptions
  @OptionGroup(title: "Which keys of the weights") var selection: SelectionOptions
  @OptionGroup(title: "What they are called in the model") var renames: RenameOptions
  @OptionGroup var recipes: RecipeOptions
  @OptionGroup var common: CommonOptions

  func validate() throws {
    guard resume == nil else {
      if data != nil { throw ValidationError("--resume knows the images; leave DATA out") }
      if dryRun { throw ValidationError("--resume goes on with the training; leave --dry-run out") }
      if force { throw ValidationError("--resume goes on in the same folder; leave --force out") }
      if training.skipBad {
        throw ValidationError("--resume skips images if the run did; leave --skip-bad out")
      }
      return
    }
    guard data != nil else { throw ValidationError("a folder of images is missing") }
    guard model != nil else { throw ValidationError("--model tells what is trained") }
    guard output != nil || dryRun || findLr else {
      throw ValidationError("-o tells where the run is written")
    }
  }

  func run() throws {
    threading.apply()
    if let resume { return try goOn(OpenRun(RunFolder(resume))) }
    let options = try chosenOptions()
    let run = output.map(RunFolder.init)
    if let run, !findLr { try run.checkIsFree(replacing: force) }
    let (images, omissions) = try Self.images(of: options)
    let start = try startingModel(options, images)
    let tuner = try FineTuner(
      options, images, start, omissions: omissions, threads: threading.threads)
    let screen = TrainingScreen(tuner, common)
    if findLr { return try screen.findRate() }
    screen.begin(source: weights, run: run?.path, isPlan: dryRun)
    guard let run, !dryRun else { return }
    try run.begin(tuner, replacing: force)
    try screen.train(run)
  }

  private func goOn(_ run: OpenRun) throws {
    var options = run.options
    if let epochs = training.epochs { options.epochs = epochs }
    if let time = training.maxTime { options.maxTime = try TrainingOptions.seconds(time) }
    let (images, omissions) = try Self.images(of: options)
    let tuner = try run.tuner(
      options, on: images, omissions: omissions, threads: threading.threads)
    let screen = TrainingScreen(tuner, common)
    screen.resume(run.folder.path, epochsBefore: run.plannedEpochs)
    try screen.train(run.folder)
  }

  /// The options of a new training.
  ///
  /// - Throws: `UsageError` or `FineTuningError` for an invalid option.
  private func chosenOptions() throws -> FineTuningOptions {
    var options = try training.options()
    options.data = data ?? ""
    options.model = model ?? ""
    options.weights = weights
    options.head = head
    options.validationShare = try val.map { try shareValue($0, of: "--val") }
    try options.check()
    return options
  }

  /// The images, and those that are skipped because their headers cannot be read.
  ///
  /// - Throws: the error of the first such image, unless they are skipped; as `TrainingImages`.
  static func images(of options: FineTuningOptions) throws -> (
    TrainingImages, [EpochBatches.Omission]
  ) {
    let images = try TrainingImages(
      options.data, share: options.validationShare, seed: options.seed,
      keepsUnsplit: options.skipsBad)
    let unreadable = images.unreadable(by: ImageDecoder(appliesOrientation: options.exif))
    guard let first = unreadable.first else { return (images, []) }
    guard options.skipsBad else { throw first.error }
    return (try images.without(unreadable), unreadable)
  }

  private func startingModel(_ options: FineTuningOptions, _ images: TrainingImages) throws
    -> StartingModel
  {
    let minimum = try minLoaded.map { try shareValue($0, of: "--min-loaded") } ?? 0.5
    guard let weights else {
      return try StartingModel(options, classes: images.classes, weights: nil)
    }
    let checkpoint = try Checkpoint(contentsOf: weights)
    let all = try checkpoint.chosenStateDict(at)
    let rules =
      [KeyRule.step(.select(try selection.selection()))] + (try renames.keyRules(with: recipes))
    let (stateDict, report) = try all.applying(all.steps(of: rules))
    try reportUnmatched(report, of: weights)
    try selection.checkIsNotEmpty(stateDict.count, of: all.count, in: weights)
    let classes = try? FineTunedFile(checkpoint, file: weights).classes()
    return try StartingModel(
      options, classes: images.classes, weights: stateDict, source: weights,
      weightsClasses: classes, keepsHead: keepHead, minimumLoaded: minimum)
  }
}

extension FinetuneCommand: CheckedCommand {
  func declareOptions(_ use: inout OptionUse) throws {
    let ofWeights =
      ["at", "min-loaded", "keep-head"] + SelectionOptions.names + RenameOptions.names
    guard resume == nil else {
      use.decide(["resume", "threads"] + TrainingOptions.resumable)
      let others = TrainingOptions.names.filter { !TrainingOptions.resumable.contains($0) }
      use.refuse(
        others + ofWeights + ["model", "weights", "output", "find-lr", "val", "head"],
        because: "--resume takes it from the run's args.yml")
      return
    }
    use.decide(["model", "weights", "threads", "val", "head", "find-lr"])
    use.decide(TrainingOptions.names)
    use.refuse(["resume"], because: "a new run begins")
    use.decide(["output"], if: !findLr, otherwise: "--find-lr writes nothing")
    use.decide(ofWeights, if: weights != nil, otherwise: "it is for --weights")
    if findLr {
      use.refuse(TrainingOptions.ofWholeTraining, because: "--find-lr takes a few steps only")
    }
    let optimizer = training.optimizer ?? .sgd
    use.decide(["momentum"], if: optimizer == .sgd, otherwise: "only sgd has it")
    if training.schedule == "onecycle" {
      use.refuse(["momentum"], because: "--schedule onecycle moves it between 0.85 and 0.95")
    }
    let train = training.train.isEmpty ? ["all"] : training.train
    if train == ["head"] {
      use.refuse(["layer-decay"], because: "--train head trains no layer before it")
      if training.headLr != nil {
        use.refuse(["lr"], because: "--train head trains the head alone, whose rate is --head-lr")
      }
    }
    use.decide(
      ["train-batchnorm"], if: train != ["all"],
      otherwise: "with --train all, batch normalization is trained anyway")
    if training.sampler == .balanced {
      // Both at once would count rare classes twice.
      use.refuse(["class-weights"], because: "--sampler balanced shows all classes equally often")
    }
  }
}
