public import CkptPlatform

/// An error in reading or writing a NumPy array.
public enum NumpyError: Diagnostic, Equatable {
  /// The header is invalid, or the array's dtype is not supported.
  case badHeader(file: String, String)
  /// The array has fewer bytes than its header requires.
  case cutOff(file: String, needed: Int, available: Int)
  /// The tensor cannot be stored in NumPy's format.
  case cannotWrite(key: String, String, hint: Remedy?)

  /// The category of the error, from which `ckpt` takes its exit status.
  public var kind: DiagnosticKind { .badInput }

  /// One line that says what is wrong and where.
  public var description: String {
    switch self {
    case .badHeader(let file, let problem): "\(problem) (\(file))"
    case .cutOff(let file, let needed, let available):
      "the array needs \(needed) bytes, and there are \(available) (\(file))"
    case .cannotWrite(let key, let problem, _):
      "\(problem) (key \"\(String(key.unicodeScalars.map { $0.value < 32 ? "?" : $0 }.map(Character.init)))\")"
    }
  }

  /// What the caller can do about the error.
  public var remedies: [Remedy] {
    switch self {
    case .cutOff: ["the file was probably cut off; fetch it again"]
    case .cannotWrite(_, _, let hint): [hint].compactMap(\.self)
    default: []
    }
  }
}
