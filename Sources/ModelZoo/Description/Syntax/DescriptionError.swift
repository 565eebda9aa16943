public import CkptPlatform

/// An error in the description of a model, with its location.
public enum DescriptionError: Diagnostic, Equatable {
  /// A location in a description.
  public struct Location: Sendable, Hashable, CustomStringConvertible {
    /// The file's path, or the name that was given.
    public let file: String
    /// The line, counted from 1; nil for the file as a whole.
    public let line: Int?

    /// The file and the line, as text.
    public var description: String { line.map { "\(file), line \($0)" } ?? file }
  }

  /// The text cannot be parsed, or names something that does not exist.
  case malformed(Location, problem: String, hint: Remedy?)
  /// The description exceeds a limit.
  case tooLarge(Location, problem: String)
  /// A module cannot be run on its input.
  case cannotRun(Location, module: String, problem: String)

  /// The kind of error, by which programs tell errors apart.
  public var kind: DiagnosticKind { .badInput }

  /// The place of the error.
  public var context: ErrorContext {
    switch self {
    case .malformed(let place, _, _), .tooLarge(let place, _), .cannotRun(let place, _, _):
      ErrorContext(file: place.file, line: place.line)
    }
  }

  /// One line that says what is wrong and where.
  public var description: String {
    switch self {
    case .malformed(let location, let problem, _), .tooLarge(let location, let problem):
      "\(problem) (\(location))"
    case .cannotRun(let location, let module, let problem):
      "\(module.isEmpty ? "the model" : module) cannot be run: \(problem) (\(location))"
    }
  }

  /// What the caller can do about the error.
  public var remedies: [Remedy] {
    switch self {
    case .malformed(_, _, let hint): [hint ?? "docs/models.md tells how models are described"]
    case .tooLarge: ["docs/models.md lists the limits"]
    case .cannotRun: []
    }
  }
}
