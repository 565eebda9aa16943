internal import CkptText
public import CkptPlatform

/// What is wrong with an archive, and where.
public enum ZipError: Diagnostic, Equatable {
  /// The file has no end record, so it is no zip archive (or the end of one is cut off).
  case notAnArchive(file: String)
  /// A structure of the archive makes no sense.
  case damaged(file: String, String, offset: Int)
  /// An entry makes no sense, or is of a kind that is not supported.
  case badEntry(file: String, entry: String, String)
  /// Two readers of zip files see different things in this one.
  case readersDisagree(file: String, entry: String, String)
  /// There is no entry of that name.
  case missingEntry(file: String, entry: String)
  /// The records cannot be laid out as an archive.
  case unwritable(String)

  /// The category of the error, from which `ckpt` takes its exit status.
  public var kind: DiagnosticKind {
    if case .unwritable = self { .cannotCreate } else { .badInput }
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
      ["nor was another format recognized; docs/formats.md lists those that are read"]
    case .readersDisagree: ["such files can hide content from scanners; save it anew with PyTorch"]
    default: []
    }
  }
}
