public import Platform

/// What is wrong with a description of a model, and where.
public enum DescriptionError: Diagnostic, Equatable {
  /// A place in a description.
  public struct Place: Sendable, Hashable, CustomStringConvertible {
    /// The file, as it was named.
    public let file: String
    /// The line, counted from 1; nil for the file as a whole.
    public let line: Int?

    /// The file and the line.
    public var description: String { line.map { "\(file), line \($0)" } ?? file }
  }

  /// Text that cannot be understood, or asks for what there is not.
  case malformed(Place, problem: String, hint: String?)
  /// More of something than is allowed, before it is made.
  case tooLarge(Place, problem: String)
  /// A module that cannot take what it is given, or make what it is to make of it.
  case cannotRun(Place, module: String, problem: String)

  /// How scripts tell it apart.
  public var kind: DiagnosticKind { .badInput }

  /// What is wrong and where, on one line.
  public var description: String {
    switch self {
    case .malformed(let place, let problem, _), .tooLarge(let place, let problem):
      "\(problem) (\(place))"
    case .cannotRun(let place, let module, let problem):
      "\(module.isEmpty ? "the model" : module) cannot be run: \(problem) (\(place))"
    }
  }

  /// What to do about it.
  public var hint: String? {
    switch self {
    case .malformed(_, _, let hint): hint ?? "docs/models.md tells how models are described"
    case .tooLarge: "docs/models.md lists the limits"
    case .cannotRun: nil
    }
  }
}
