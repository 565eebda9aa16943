public import Platform

/// Why there is no such model.
public enum ZooError: Diagnostic, Equatable {
  /// A name that no model has.
  case unknownModel(String, known: [String])
  /// An option that the model does not have, or a value that makes no sense for it.
  case badOption(model: String, option: String, problem: String)
  /// Tensors from which no model of that name can be inferred.
  case cannotInfer(model: String, key: String, problem: String)
  /// Tensors that look far larger than the file is.
  case tooLarge(elements: Int, bytes: Int)
  /// A model most of which would have to be made up.
  case tooManyNew(elements: Int)

  /// How scripts tell it apart.
  public var kind: DiagnosticKind {
    switch self {
    case .unknownModel, .badOption: .usage
    case .cannotInfer, .tooLarge, .tooManyNew: .badInput
    }
  }

  /// What is wrong and where, on one line.
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

  /// What to do about it.
  public var hint: String? {
    switch self {
    case .unknownModel(_, let known):
      "there are: \(known.joined(separator: ", ")); a file NAME.yml describes another"
    case .badOption: "docs/models.md lists the options"
    case .cannotInfer: "\"ckpt verify FILE\" names the models whose keys fit"
    case .tooLarge, .tooManyNew: nil
    }
  }
}
