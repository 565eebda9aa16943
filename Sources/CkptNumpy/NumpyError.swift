public import CkptPlatform

/// Why an array of numpy's cannot be read or written, and where.
public enum NumpyError: Diagnostic, Equatable {
  /// The header makes no sense, or its array is of a kind that is not supported.
  case badHeader(file: String, String)
  /// The array is shorter than its header says.
  case cutOff(file: String, needed: Int, available: Int)
  /// A tensor that numpy's format cannot hold.
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
