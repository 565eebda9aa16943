internal import CkptText
public import CkptPlatform

/// An error in a safetensors file or an index of shards.
public enum SafetensorsError: Diagnostic, Equatable {
  /// The file is shorter than its header length requires, or has no header length.
  case truncated(file: String, String)
  /// The header is larger than the format allows.
  case headerTooLarge(file: String, byteCount: UInt64)
  /// The header or index is not valid JSON, or has invalid contents.
  case badJSON(file: String, String, offset: Int)
  /// A tensor's entry is invalid.
  case badTensor(file: String, key: String, String)
  /// A tensor has a type that PyTorch does not support.
  case unsupportedType(file: String, key: String, type: String)
  /// An index is invalid.
  case badIndex(file: String, String)
  /// The tensors cannot be stored in this format.
  case unwritable(String, hint: Remedy?)

  /// The category of the error, from which `ckpt` takes its exit status.
  public var kind: DiagnosticKind { .badInput }

  /// The place of the error.
  public var context: ErrorContext {
    switch self {
    case .truncated(let file, _), .headerTooLarge(let file, _), .badIndex(let file, _):
      ErrorContext(file: file)
    case .badJSON(let file, _, let offset): ErrorContext(file: file, offset: offset)
    case .badTensor(let file, let key, _), .unsupportedType(let file, let key, _):
      ErrorContext(file: file, keys: [key])
    case .unwritable: ErrorContext()
    }
  }

  /// One line that says what is wrong and where.
  public var description: String {
    switch self {
    case .truncated(let file, let problem): "\(problem) (\(file))"
    case .headerTooLarge(let file, let count):
      "the header claims \(count) bytes; the format allows \(SafetensorsHeader.byteLimit) (\(file))"
    case .badJSON(let file, let problem, let offset): "\(problem) (\(file), byte \(offset))"
    case .badTensor(let file, let key, let problem):
      "\(problem) (\(file), key \(Text.quoted(key)))"
    case .unsupportedType(let file, let key, let type):
      "the dtype \(type) is not supported; PyTorch has none like it "
        + "(\(file), key \(Text.quoted(key)))"
    case .badIndex(let file, let problem): "\(problem) (\(file))"
    case .unwritable(let problem, _): problem
    }
  }

  /// What the caller can do about the error.
  public var remedies: [Remedy] {
    switch self {
    case .truncated: ["fetch the file again", "\(.repair) saves what is left"]
    case .unwritable(_, let hint): [hint].compactMap(\.self)
    default: []
    }
  }
}
