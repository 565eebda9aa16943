public import CkptPlatform

/// An error of preparing, running or continuing a fine-tuning, or of using its result.
public enum FineTuningError: Diagnostic, Equatable {
  /// A folder with `train` in it has no validation images, and none are to be split off.
  case noValidation(folder: String)
  /// A part of the images is to be split off although the folder has validation images of its own.
  case validationExists(folder: String)
  /// These classes have one image each, which cannot be both trained on and evaluated.
  case classesTooSmall(folder: String, classes: [String])
  /// The model takes something else than images of three channels, or does not classify.
  case notAnImageClassifier(model: String, problem: String)
  /// The model has another number of classes than there are folders.
  case classCount(model: String, expected: Int, found: Int)
  /// The model's description does not tell which part is the head, or there is no such part.
  case unknownHead(model: String, head: String?)
  /// Less of the backbone was found in the weights than is wanted: shares from 0 to 1.
  case notEnoughLoaded(source: String, share: Double, minimum: Double, missing: [String])
  /// The head of the weights is to be kept, but has another shape or is not there.
  case cannotKeepHead(source: String, problem: String)
  /// A pattern that chooses parameters matches none that could be meant.
  case noSuchParameter(pattern: String, what: String)
  /// An option has a value that makes no sense.
  case badOption(name: String, problem: String)
  /// A loss or an output is infinite or no number: what it is of.
  case notFinite(what: String, position: String)
  /// A folder is no run, or one that cannot be continued or replaced.
  case notARun(folder: String, problem: String)
  /// A checkpoint lacks what a fine-tuned one has.
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

  /// What the caller can do about the error.
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
