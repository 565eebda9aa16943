public import CkptPlatform
internal import CkptText

/// An error in reading or writing a NumPy array.
public enum NumpyError: Diagnostic, Equatable {
  /// The header is invalid, or the array's dtype is not supported.
  case badHeader(file: String, record: String? = nil, String)
  /// The array has fewer bytes than its header requires.
  case cutOff(file: String, record: String? = nil, needed: Int, available: Int)
  /// The tensor cannot be stored in NumPy's format.
  case cannotWrite(key: String, String, hint: Remedy?)

  /// The category of the error, from which `ckpt` takes its exit status.
  public var kind: DiagnosticKind { .badInput }

  /// The place of the error.
  public var context: ErrorContext {
    switch self {
    case .badHeader(let file, let record, _), .cutOff(let file, let record, _, _):
      ErrorContext(file: file, record: record)
    case .cannotWrite(let key, _, _): ErrorContext(keys: [key])
    }
  }

  /// One line that says what is wrong and where.
  public var description: String {
    switch self {
    case .badHeader(let file, let record, let problem):
      "\(problem) (\(file)\(Self.place(record)))"
    case .cutOff(let file, let record, let needed, let available):
      "the array needs \(needed) bytes, and there are \(available) (\(file)\(Self.place(record)))"
    case .cannotWrite(let key, let problem, _):
      "\(problem) (key \(Text.quoted(key)))"
    }
  }

  private static func place(_ record: String?) -> String {
    record.map { ", record \(Text.printable($0))" } ?? ""
  }

  /// The same error of an array in a record of an archive.
  package func inRecord(_ record: String) -> NumpyError {
    switch self {
    case .badHeader(let file, _, let problem):
      .badHeader(file: file, record: record, problem)
    case .cutOff(let file, _, let needed, let available):
      .cutOff(file: file, record: record, needed: needed, available: available)
    case .cannotWrite: self
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
