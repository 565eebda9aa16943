public import CkptPlatform

/// An error in repairing a file.
public enum RepairError: Diagnostic, Equatable {
  /// Nothing can be saved, for the given reason.
  case nothingLeft(file: String, String, canBeUnverified: Bool)
  /// Damaged files of this format cannot be repaired.
  case unsupported(file: String)

  /// The category of the error: always bad input.
  public var kind: DiagnosticKind { .badInput }

  /// The place of the error.
  public var context: ErrorContext {
    switch self {
    case .nothingLeft(let file, _, _), .unsupported(let file): ErrorContext(file: file)
    }
  }

  /// One line that says what is wrong and where.
  public var description: String {
    switch self {
    case .nothingLeft(let file, let reason, _): "nothing can be saved: \(reason) (\(file))"
    case .unsupported(let file): "files of this format cannot be repaired (\(file))"
    }
  }

  /// What the caller can do about the error.
  public var remedies: [Remedy] {
    switch self {
    case .nothingLeft(_, _, true):
      ["\(.keepUnverified) also keeps what may be damaged"]
    case .nothingLeft: ["fetch the file again"]
    case .unsupported: ["fetch the file again"]
    }
  }
}
