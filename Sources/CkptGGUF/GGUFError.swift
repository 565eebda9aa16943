internal import CkptText
public import CkptPlatform

/// Why a GGUF file cannot be read or written, and where.
public enum GGUFError: Diagnostic, Equatable {
  /// The file's header makes no sense at a byte.
  case damaged(file: String, String, offset: Int)
  /// A tensor's entry makes no sense.
  case badTensor(file: String, tensor: String, String)
  /// Something that GGUF cannot hold.
  case cannotWrite(tensor: String, String, hint: Remedy?)

  /// The category of the error, from which `ckpt` takes its exit status.
  public var kind: DiagnosticKind { .badInput }

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
