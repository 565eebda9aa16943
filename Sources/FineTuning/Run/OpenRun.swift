internal import CkptPlatform
internal import CkptText
public import ImageData

/// A run whose `last.pt` is open, so that its training can continue.
///
/// ```swift
/// let run = try OpenRun(RunFolder("run"))
/// var options = run.options
/// options.epochs = 20
/// let images = try TrainingImages(
///   options.data, share: options.validationShare, seed: options.seed)
/// let tuner = try run.tuner(options, on: images)
/// _ = try tuner.run { isBest in try run.folder.save(tuner, isBest: isBest) }
/// ```
public struct OpenRun {
  /// The folder of the run.
  public let folder: RunFolder
  /// The options of the run. The number of epochs and the longest time are those in `args.yml`, all
  /// others are the same in `last.pt`.
  public let options: FineTuningOptions
  /// The number of epochs for which the run was planned when `last.pt` was written.
  public let plannedEpochs: Int
  private let saved: FineTunedFile

  /// Opens the run in a folder.
  ///
  /// - Throws: `FileError` if there is no such folder or a file cannot be read;
  ///   ``FineTuningError/notARun(folder:problem:)`` if the folder is not a run, or `args.yml` has
  ///   other options than `last.pt`; ``FineTuningError/notFineTuned(file:problem:)`` for a file
  ///   that no fine-tuning wrote.
  public init(_ folder: RunFolder) throws {
    self.folder = folder
    let path = folder.path
    guard Folder.exists(at: path) else {
      throw FileError(.cannotOpen, "there is no such folder", path: path)
    }
    let listing = try Folder(path)
    for name in ["args.yml", "last.pt"] where !listing.names.contains(name) {
      throw FineTuningError.notARun(folder: path, problem: "is no run: there is no \(name)")
    }
    let text = try BoundedYAML.text(of: listing.open("args.yml"), .document)
    let written = try FineTuningOptions(yaml: text, from: folder.file("args.yml"))
    saved = try FineTunedFile(contentsOf: folder.file("last.pt"))
    let options = try saved.options()
    // A process that was killed between writing one file and the other leaves these two different.
    let different = options.differences(from: written).filter {
      !FineTuningOptions.continuable.contains($0)
    }
    guard different.isEmpty else {
      throw FineTuningError.notARun(
        folder: path,
        problem: "args.yml and last.pt differ in \(different.joined(separator: ", "))")
    }
    guard written.epochs >= options.epochs else {
      throw FineTuningError.notARun(
        folder: path,
        problem: "args.yml has fewer epochs (\(written.epochs)) than last.pt (\(options.epochs))")
    }
    plannedEpochs = options.epochs
    self.options = written
  }

  /// The fine-tuning as it was when `last.pt` was written.
  ///
  /// - Parameters:
  ///   - options: the options of the run, with as many or more epochs and any longest time; nil for
  ///     those of the run.
  ///   - images: the images that the run began with.
  ///   - omissions: images that were left out already.
  ///   - threads: the number of threads that decode; nil for as many as there are processors.
  /// - Throws: ``FineTuningError/badOption(name:problem:)`` for an option that may not change;
  ///   ``FineTuningError/notFineTuned(file:problem:)`` if the images are others, or something is
  ///   missing in `last.pt`; `ZooError`, `DescriptionError`, `CheckpointError`, `FileError`, and
  ///   `TrainingError` if the model or a state cannot be loaded.
  public func tuner(
    _ options: FineTuningOptions? = nil, on images: TrainingImages,
    omissions: [EpochBatches.Omission] = [], threads: Int? = nil
  ) throws -> FineTuner {
    let options = options ?? self.options
    try check(options)
    try RunCheckpoint.check(images, of: saved)
    let start = try StartingModel(
      options, classes: images.classes, weights: saved.stateDict(at: "model"),
      source: saved.file, keepsHead: true, minimumLoaded: 1)
    let tuner = try FineTuner(options, images, start, omissions: omissions, threads: threads)
    try RunCheckpoint.restore(tuner, from: saved)
    return tuner
  }

  /// Checks that options differ from those of the run only where a run may continue differently.
  ///
  /// - Throws: ``FineTuningError/badOption(name:problem:)``.
  private func check(_ options: FineTuningOptions) throws {
    let different = options.differences(from: self.options)
    if let name = different.first(where: { !FineTuningOptions.continuable.contains($0) }) {
      throw FineTuningError.badOption(
        name: name, problem: "a run continues with the value that it began with")
    }
    guard options.epochs >= plannedEpochs else {
      throw FineTuningError.badOption(
        name: "epochs",
        problem: "\(options.epochs) is less than the run's \(plannedEpochs); "
          + "the number may be raised, not lowered")
    }
  }
}

extension FineTuningOptions {
  /// The names of options that may change when a run continues.
  static let continuable: Set = ["epochs", "max_time"]
}
