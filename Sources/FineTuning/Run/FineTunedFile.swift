internal import TrainingCore
internal import CkptStateDicts
public import ModelZoo
package import StateDictKit
internal import CkptPlatform

/// A checkpoint that a fine-tuning wrote, such as `best.pt`: the weights of a model, the names of
/// its classes, and the preprocessing of its images.
public struct FineTunedFile {
  private let checkpoint: Checkpoint
  /// The file's path.
  let file: String
  /// The contents of the file; tensors are lazy.
  let value: PlainValue

  /// Creates the file from a checkpoint that is open already.
  ///
  /// - Throws: `CheckpointError` if the objects in the file cannot be decoded; `FileError`.
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

  /// The names of the classes, in the order of the model's outputs; nil if the file has none.
  public func classes() -> [String]? {
    guard let items = value["classes"]?.items else { return nil }
    let names = items.compactMap(\.string)
    return names.count == items.count ? names : nil
  }

  /// The options of the fine-tuning that wrote the file.
  ///
  /// - Throws: ``FineTuningError/notFineTuned(file:problem:)`` if there are none, or not valid
  ///   ones.
  public func options() throws -> FineTuningOptions {
    guard let arguments = value["args"] else { throw other("it has no args") }
    return try FineTuningOptions(arguments: arguments, from: file)
  }

  /// The state dict at a key of the file, such as `model`.
  ///
  /// - Throws: `CheckpointError` if there is none; `FileError`.
  func stateDict(at key: String) throws -> StateDict { try checkpoint.stateDict(at: key) }

  /// Whether the model was trained on these images, by their number, paths and classes.
  func wasTrained(on images: TrainingImages) -> Bool {
    guard let before = value["images"] else { return false }
    let now = RunCheckpoint.imagesValue(images)
    return RunCheckpoint.imageFigures.allSatisfy { before[$0]?.int == now[$0]?.int }
  }

  private func other(_ problem: String) -> FineTuningError {
    .notFineTuned(file: file, problem: "it was not written by a fine-tuning: \(problem)")
  }

  /// The text of the model's description in YAML; nil for a model that is known by its name.
  private var modelDescription: String? { value["model_description"]?.string }

  /// A model with its weights, classes and preprocessing.
  public struct Classifier {
    /// The model, in evaluation mode.
    public let model: ZooModel
    /// The names of the classes, in the order of the model's outputs.
    public let classes: [String]
    /// The conversion of an image to the model's input.
    public let preprocessing: Preprocessing
    /// Whether the weights are the moving averages of the training (`ema` in the file).
    public let usesAverage: Bool
  }

  /// Builds the model with the weights that were evaluated during the training: the moving averages
  /// if the file has them.
  ///
  /// - Parameter model: the model, as `ModelSpec` parses it; nil for the one in the file.
  /// - Throws: ``FineTuningError/notFineTuned(file:problem:)`` for a file that lacks classes or
  ///   preprocessing; `ZooError`, `DescriptionError` and `TrainingError` if the weights do not fit
  ///   the model.
  public func classifier(model written: String? = nil) throws -> Classifier {
    guard let classes = classes(), !classes.isEmpty else { throw other("it has no classes") }
    guard let kept = value["preprocessing"] else { throw other("it has no preprocessing") }
    let preprocessing = try Preprocessing(kept, from: file)
    guard value["model"] != nil else { throw other("it has no model") }
    let usesAverage = value["ema"] != nil
    let weights = try stateDict(at: usesAverage ? "ema" : "model")
    guard let name = written ?? value["args"]?["model"]?.string else {
      throw other("it does not tell its model")
    }
    var spec = try ModelSpec(name)
    let zoo: ModelZoo
    if written == nil, let text = modelDescription {
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
