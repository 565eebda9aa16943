public import CkptPlatform

/// An error of a fine-tuning, or of using its result.
public enum FineTuningError: Diagnostic, Equatable {
  /// There is a folder `train`, but neither `val` nor `test`, and no share to split off is given.
  case noValidation(folder: String)
  /// A share to split off is given, although there is a folder of validation images.
  case validationExists(folder: String)
  /// These classes have only one image each, so that they cannot be split.
  case classesTooSmall(folder: String, classes: [String])
  /// The model does not take images of three channels, or does not classify.
  case notAnImageClassifier(model: String, problem: String)
  /// The number of the model's classes is not that of the folders.
  case classCount(model: String, expected: Int, found: Int)
  /// The model's description does not name its head, or there is no module with the given key.
  case unknownHead(model: String, head: String?)
  /// Less of the backbone can be loaded than required; shares are from 0 to 1.
  case notEnoughLoaded(source: String, share: Double, minimum: Double, missing: [String])
  /// The head of the checkpoint cannot be kept: it has other shapes or is missing.
  case cannotKeepHead(source: String, problem: String)
  /// A pattern of parameters' keys matches none; `what` is its purpose.
  case noSuchParameter(pattern: String, what: String)
  /// The value of an option is invalid; names are those in `args.yml`.
  case badOption(name: String, problem: String)
  /// A loss or an output is infinite or NaN; `position` is the step or the image.
  case notFinite(what: String, position: String)
  /// A folder is not a run, or cannot be continued or replaced.
  case notARun(folder: String, problem: String)
  /// A file was not written by a fine-tuning, or something in it is missing or invalid.
  case notFineTuned(file: String, problem: String)

  /// The category of the error.
  public var kind: DiagnosticKind {
    switch self {
    case .validationExists, .badOption, .noSuchParameter, .classCount: .usage
    default: .badInput
    }
  }

  /// The place of the error.
  public var context: ErrorContext {
    switch self {
    case .noValidation(let folder), .validationExists(let folder), .classesTooSmall(let folder, _),
      .notARun(let folder, _):
      ErrorContext(file: folder)
    case .notEnoughLoaded(let source, _, _, let missing):
      ErrorContext(file: source, keys: missing)
    case .cannotKeepHead(let file, _), .notFineTuned(let file, _): ErrorContext(file: file)
    case .notAnImageClassifier, .classCount, .unknownHead, .noSuchParameter, .badOption,
      .notFinite:
      ErrorContext()
    }
  }

  /// One line that says what is wrong and where.
  public var description: String {
    switch self {
    case .noValidation(let folder):
      "there is a folder train, but neither val nor test (\(folder))"
    case .validationExists(let folder):
      "images are to be split off for validation, but there is a folder of them (\(folder))"
    case .classesTooSmall(let folder, let classes):
      "a class of one image cannot be split for validation: \(Self.list(classes)) (\(folder))"
    case .notAnImageClassifier(let model, let problem):
      "\(model) cannot be trained on a folder of images: \(problem)"
    case .classCount(let model, let expected, let found):
      "the model \(model) has \(expected) classes, the folder \(found)"
    case .unknownHead(let model, let head):
      head.map { "\(model) has no parameters at \"\($0)\"" }
        ?? "which part of \(model) is its head is not known"
    case .notEnoughLoaded(let source, let share, let minimum, let missing):
      "only \(Self.percent(share)) of the backbone is in the weights, less than "
        + "\(Self.percent(minimum)); missing are \(Self.list(missing)) (\(source))"
    case .cannotKeepHead(let source, let problem): "the head cannot be kept: \(problem) (\(source))"
    case .noSuchParameter(let pattern, let what): "\(what) \(pattern) matches no parameter"
    case .badOption(let name, let problem): "\(name): \(problem)"
    case .notFinite(let what, let position): "\(what) is infinite or no number (\(position))"
    case .notARun(let folder, let problem): "\(problem) (\(folder))"
    case .notFineTuned(let file, let problem): "\(problem) (\(file))"
    }
  }

  /// The possible remedies.
  public var remedies: [Remedy] {
    switch self {
    case .noValidation: ["\(.splitValidation) splits a part of train off"]
    case .validationExists: ["leave \(.splitValidation) out to evaluate on that folder"]
    case .classesTooSmall:
      ["add images, or let \(.skipBadImages) leave the class out of validation"]
    case .unknownHead: ["\(.nameHead) names it, as in \"fc\""]
    case .notEnoughLoaded:
      [
        "\(.checkAgainstModel) tells what the keys are called and suggests renames",
        "\(.lowerMinimumLoaded) lets it pass",
      ]
    case .notFinite: ["a lower learning rate, or clipped gradients, keep a training finite"]
    case .classCount: ["leave the model's classes out; the folders are counted"]
    default: []
    }
  }

  private static func list(_ names: [String]) -> String {
    names.prefix(3).joined(separator: ", ")
      + (names.count > 3 ? " and \(names.count - 3) more" : "")
  }

  private static func percent(_ share: Double) -> String {
    let tenths = (share * 1000).rounded(.down) / 10
    return tenths == tenths.rounded() ? "\(Int(tenths)) %" : "\(tenths) %"
  }
}
