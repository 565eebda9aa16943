internal import TrainingCore
internal import CkptStateDicts
public import ModelZoo
package import StateDictKit
internal import CkptPlatform

/// A checkpoint that a fine-tuning wrote: a model with its classes and preprocessing, ready for evaluation.
public struct FineTunedFile {
  private let checkpoint: Checkpoint
  private let file: String
  /// All that the file holds, as plain values.
  let value: PlainValue

  /// A checkpoint that is open already.
  ///
  /// - Throws: what reading the objects throws.
  package init(_ checkpoint: Checkpoint, file: String) throws {
    (self.checkpoint, self.file) = (checkpoint, file)
    value = try checkpoint.plainValue()
  }

  /// Opens a checkpoint.
  ///
  /// - Throws: `CheckpointError` and `FileError` where the file cannot be read.
  public init(contentsOf path: String) throws {
    try self.init(Checkpoint(contentsOf: path), file: path)
  }

  /// The names of the classes; nil if the file does not tell.
  ///
  /// - Throws: what reading the objects throws.
  public func classes() throws -> [String]? {
    guard let items = value["classes"]?.items else { return nil }
    let names = items.compactMap(\.string)
    return names.count == items.count ? names : nil
  }

  /// The options of the fine-tuning that wrote the file.
  ///
  /// - Throws: ``FineTuningError/notFineTuned(file:problem:)`` for another file.
  public func options() throws -> FineTuningOptions {
    guard let arguments = value["args"] else { throw other("it has no args") }
    return try FineTuningOptions(arguments: arguments, from: file)
  }

  /// Whether these are the images of the training, by their names and classes.
  func wasTrained(on images: TrainingImages) throws -> Bool {
    guard let before = value["images"] else { return false }
    let now = RunCheckpoint.imagesValue(images)
    return RunCheckpoint.imageFigures.allSatisfy { before[$0]?.int == now[$0]?.int }
  }

  private func other(_ problem: String) -> FineTuningError {
    .notFineTuned(file: file, problem: "it was not written by a fine-tuning: \(problem)")
  }

  /// The text of the model's description; nil if the model is known by its name.
  ///
  /// - Throws: what reading the objects throws.
  func modelDescription() throws -> String? { value["model_description"]?.string }

  /// A model with its weights, and what is needed to use it.
  public struct Classifier {
    /// The model, in evaluation mode.
    public let model: ZooModel
    /// The names of its classes.
    public let classes: [String]
    /// How an image becomes its input.
    public let preprocessing: Preprocessing
    /// Whether the weights are the moving average that was evaluated while training.
    public let usesAverage: Bool
  }

  /// Builds the model with the weights that were evaluated: the moving average if there is one.
  ///
  /// - Parameter model: the model, as `ModelSpec` reads it; nil for the one that the file tells.
  /// - Throws: ``FineTuningError/notFineTuned(file:problem:)`` for a file that lacks classes or preprocessing; `ZooError`,
  ///   `DescriptionError` and `TrainingError` if the weights do not fit the model.
  public func classifier(model written: String? = nil) throws -> Classifier {
    guard let classes = try classes(), !classes.isEmpty else { throw other("it has no classes") }
    guard let kept = value["preprocessing"] else { throw other("it has no preprocessing") }
    let preprocessing = try Preprocessing(kept, from: file)
    guard value["model"] != nil else { throw other("it has no model") }
    let usesAverage = value["ema"] != nil
    let weights = try checkpoint.stateDict(at: usesAverage ? "ema" : "model")
    guard let name = written ?? value["args"]?["model"]?.string else {
      throw other("it does not tell its model")
    }
    var spec = try ModelSpec(name)
    let zoo: ModelZoo
    if written == nil, let text = try modelDescription() {
      let description = try ModelDescription(yaml: text, name: spec.name)
      zoo = ModelZoo(families: [description] + ModelZoo.standard.families)
    } else {
      zoo = try ModelZoo.standard.including(spec)
    }
    if try zoo.family(spec.name).options.contains(where: { $0.name == "classes" }) {
      spec.options.values["classes"] = "\(classes.count)"
    }
    let model = try zoo.makeModel(spec, fitting: weights)
    try StartingModel.check(model, classes: classes.count)
    try model.module.load(weights)
    model.module.eval()
    return Classifier(
      model: model, classes: classes, preprocessing: preprocessing, usesAverage: usesAverage)
  }
}
