public import CkptPlatform

/// An error in building a model by name.
public enum ZooError: Diagnostic, Equatable {
  /// There is no model with the given name.
  case unknownModel(String, known: [String])
  /// The model does not have the option, or its value is out of range.
  case badOption(model: String, option: String, problem: String)
  /// The model's hyperparameters cannot be inferred from the tensor with that key.
  case cannotInfer(model: String, key: String, problem: String)
  /// The tensors have far more elements than their storages have bytes.
  case tooLarge(elements: Int, bytes: Int)
  /// The state dict lacks too many of the model's elements, which would be initialized in memory.
  case tooManyNew(elements: Int)

  /// The kind of error, by which programs tell errors apart.
  public var kind: DiagnosticKind {
    switch self {
    case .unknownModel, .badOption: .usage
    case .cannotInfer, .tooLarge, .tooManyNew: .badInput
    }
  }

  /// The place of the error.
  public var context: ErrorContext {
    if case .cannotInfer(_, let key, _) = self { ErrorContext(keys: [key]) } else { ErrorContext() }
  }

  /// One line that says what is wrong and where.
  public var description: String {
    switch self {
    case .unknownModel(let name, _): "no model is called \"\(name)\""
    case .badOption(let model, let option, let problem): "\(model): option \(option): \(problem)"
    case .cannotInfer(let model, let key, let problem): "this is no \(model): \(key): \(problem)"
    case .tooManyNew(let elements):
      "the model has \(elements) elements that the file lacks, too many to be drawn at random"
    case .tooLarge(let elements, let bytes):
      "the tensors' shapes have \(elements) elements, but their storages only \(bytes) bytes"
    }
  }

  /// What the caller can do about the error.
  public var remedies: [Remedy] {
    switch self {
    case .unknownModel(_, let known):
      ["there are: \(known.joined(separator: ", ")); a file NAME.yml describes another"]
    case .badOption: ["docs/models.md lists the options"]
    case .cannotInfer: ["\(.nameModels) names the models whose keys fit"]
    case .tooLarge, .tooManyNew: []
    }
  }
}
