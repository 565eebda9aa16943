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

  /// How scripts tell it apart.
  public var kind: DiagnosticKind { .badInput }

  /// What is wrong and where, on one line.
  public var description: String {
    switch self {
    case .damaged(let file, let problem, let offset): "\(problem) (\(file), byte \(offset))"
    case .badTensor(let file, let tensor, let problem):
      "\(problem) (\(file), tensor \(Text.quoted(tensor)))"
    case .cannotWrite(let tensor, let problem, _): "\(problem) (tensor \(Text.quoted(tensor)))"
    }
  }

  /// What to do about it.
  public var remedies: [Remedy] {
    if case .cannotWrite(_, _, let hint) = self { [hint].compactMap(\.self) } else { [] }
  }
}
