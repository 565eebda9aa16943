internal import CkptText
public import CkptPlatform

/// An error in reading or writing a GGUF file.
public enum GGUFError: Diagnostic, Equatable {
  /// The header is invalid at a byte offset.
  case damaged(file: String, String, offset: Int)
  /// A tensor's entry is invalid.
  case badTensor(file: String, tensor: String, String)
  /// The tensor or value cannot be stored in GGUF.
  case cannotWrite(tensor: String, String, hint: Remedy?)

  /// The category of the error, from which `ckpt` takes its exit status.
  public var kind: DiagnosticKind { .badInput }

  /// The place of the error.
  public var context: ErrorContext {
    switch self {
    case .damaged(let file, _, let offset): ErrorContext(file: file, offset: offset)
    case .badTensor(let file, let tensor, _): ErrorContext(file: file, keys: [tensor])
    case .cannotWrite(let tensor, _, _): ErrorContext(keys: [tensor])
    }
  }

  /// One line that says what is wrong and where.
  public var description: String {
    switch self {
    case .damaged(let file, let problem, let offset): "\(problem) (\(file), byte \(offset))"
    case .badTensor(let file, let tensor, let problem):
      "\(problem) (\(file), tensor \(Text.quoted(tensor)))"
    case .cannotWrite(let tensor, let problem, _): "\(problem) (tensor \(Text.quoted(tensor)))"
    }
  }

  /// What the caller can do about the error.
  public var remedies: [Remedy] {
    if case .cannotWrite(_, _, let hint) = self { [hint].compactMap(\.self) } else { [] }
  }
}
