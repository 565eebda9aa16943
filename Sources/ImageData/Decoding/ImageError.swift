public import CkptPlatform

/// An error about an image, or a folder of images.
public enum ImageError: Diagnostic, Hashable {
  /// The file or folder cannot be opened or read.
  case unreadable(file: String, String)
  /// The file's first bytes are of no supported format.
  case unknownFormat(file: String)
  /// The file's format is supported, but not this variant.
  case unsupported(file: String, String)
  /// The file's data is inconsistent.
  case damaged(file: String, String)
  /// The file ends before the last pixel.
  case truncated(file: String)
  /// The file or its image is larger than the limits allow; nothing was decoded.
  case tooLarge(file: String, String)
  /// The folder contains no subfolders, which would be the classes.
  case noClasses(folder: String)
  /// The folders of these classes contain no image.
  case emptyClasses(folder: String, [String])
  /// The folder's classes are not the expected ones.
  case differentClasses(folder: String, missing: [String], unknown: [String])
  /// An argument is invalid.
  case badRequest(String)
  /// More images than allowed could not be read.
  case tooManyOmissions(folder: String, String)

  /// The category of the error, from which `ckpt` takes its exit status.
  public var kind: DiagnosticKind {
    switch self {
    case .unreadable: .cannotOpen
    case .badRequest: .usage
    default: .badInput
    }
  }

  /// The place of the error.
  public var context: ErrorContext {
    switch self {
    case .unreadable(let file, _), .unknownFormat(let file), .unsupported(let file, _),
      .damaged(let file, _), .truncated(let file), .tooLarge(let file, _):
      ErrorContext(file: file)
    case .noClasses(let folder), .emptyClasses(let folder, _),
      .differentClasses(let folder, _, _), .tooManyOmissions(let folder, _):
      ErrorContext(file: folder)
    case .badRequest: ErrorContext()
    }
  }

  /// One line that says what is wrong and where.
  public var description: String {
    switch self {
    case .unreadable(let file, let problem): "\(problem) (\(Self.shown(file)))"
    case .unknownFormat(let file): "not a picture of a known format (\(Self.shown(file)))"
    case .unsupported(let file, let what): "\(what) cannot be decoded (\(Self.shown(file)))"
    case .damaged(let file, let problem): "\(Self.shown(problem)) (\(Self.shown(file)))"
    case .truncated(let file): "the picture is cut off (\(Self.shown(file)))"
    case .tooLarge(let file, let what): "\(what) (\(Self.shown(file)))"
    case .noClasses(let folder): "no folder of a class (\(Self.shown(folder)))"
    case .emptyClasses(let folder, let names):
      "no picture of \(Self.list(names)) (\(Self.shown(folder)))"
    case .differentClasses(let folder, let missing, let unknown):
      "other classes: "
        + [("missing", missing), ("unknown", unknown)].filter { !$0.1.isEmpty }
        .map { "\($0.0) \(Self.list($0.1))" }.joined(separator: "; ")
        + " (\(Self.shown(folder)))"
    case .badRequest(let problem): problem
    case .tooManyOmissions(let folder, let problem): "\(problem) (\(Self.shown(folder)))"
    }
  }

  /// What the caller can do about the error.
  public var remedies: [Remedy] {
    switch self {
    case .unknownFormat: ["JPEG, PNG, WebP, TIFF, BMP, PPM, PGM and PBM are decoded"]
    case .tooLarge: ["ImageLimits sets what is allowed"]
    case .noClasses: ["pictures lie in one folder a class, such as train/cat/1.jpg"]
    default: []
    }
  }

  /// Text with its control characters replaced by `?`, so that it fits on one line.
  static func shown(_ text: String) -> String {
    text.unicodeScalars.map { $0.value < 32 || $0.value == 127 ? "?" : String($0) }.joined()
  }

  /// The first five names in quotes, and the number of the others.
  private static func list(_ names: [String]) -> String {
    let first = names.prefix(5).map { "\"\(shown($0))\"" }.joined(separator: ", ")
    return names.count > 5 ? first + " and \(names.count - 5) more" : first
  }
}
