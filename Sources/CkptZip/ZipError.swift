internal import CkptText
public import CkptPlatform

/// An error in reading or writing an archive.
public enum ZipError: Diagnostic, Equatable {
  /// The file has no end record: it is not a zip archive, or is truncated.
  case notAnArchive(file: String)
  /// A structure of the archive is invalid.
  case damaged(file: String, String, offset: Int)
  /// An entry is invalid or not supported.
  case badEntry(file: String, entry: String, String)
  /// Two zip readers interpret the archive differently.
  case readersDisagree(file: String, entry: String, String)
  /// The archive has no entry of the given name.
  case missingEntry(file: String, entry: String)
  /// The records cannot be stored in an archive.
  case unwritable(String)

  /// The category of the error, from which `ckpt` takes its exit status.
  public var kind: DiagnosticKind {
    if case .unwritable = self { .cannotCreate } else { .badInput }
  }

  /// The place of the error.
  public var context: ErrorContext {
    switch self {
    case .notAnArchive(let file): ErrorContext(file: file)
    case .damaged(let file, _, let offset): ErrorContext(file: file, offset: offset)
    case .badEntry(let file, let entry, _), .readersDisagree(let file, let entry, _),
      .missingEntry(let file, let entry):
      ErrorContext(file: file, record: entry)
    case .unwritable: ErrorContext()
    }
  }

  /// One line that says what is wrong and where.
  public var description: String {
    switch self {
    case .notAnArchive(let file):
      "not a zip archive, or one whose end is cut off (\(file))"
    case .damaged(let file, let problem, let offset):
      "\(problem) (\(file), byte \(offset))"
    case .badEntry(let file, let entry, let problem):
      "\(problem) (\(file), record \(Text.quoted(entry)))"
    case .readersDisagree(let file, let entry, let problem):
      "readers of zip files disagree on \(problem) (\(file), record \(Text.quoted(entry)))"
    case .missingEntry(let file, let entry):
      "the record is missing (\(file), record \(Text.quoted(entry)))"
    case .unwritable(let problem):
      problem
    }
  }

  /// What the caller can do about the error.
  public var remedies: [Remedy] {
    switch self {
    case .notAnArchive:
      [
        "nor was another format recognized; docs/formats.md lists those that are read",
        "\(.repair) saves what is left of an archive",
      ]
    case .readersDisagree: ["such files can hide content from scanners; save it anew with PyTorch"]
    default: []
    }
  }
}
