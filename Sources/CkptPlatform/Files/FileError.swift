#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

/// An error of a file operation, with the path.
public struct FileError: Diagnostic, Hashable {
  /// The category of the error, from which `ckpt` takes its exit status.
  public let kind: DiagnosticKind
  /// What is wrong, such as "cannot open: No such file or directory".
  public let problem: String
  /// The path of the file.
  public let path: String
  /// What the caller can do about the error.
  public let remedies: [Remedy]
  /// The error number of the failed system call; nil if there was none.
  public let systemError: SystemError?

  /// Creates an error about the file at `path`.
  public init(_ kind: DiagnosticKind, _ problem: String, path: String, hint: Remedy? = nil) {
    self.init(kind, problem, path: path, remedies: [hint].compactMap(\.self), systemError: nil)
  }

  private init(
    _ kind: DiagnosticKind, _ problem: String, path: String, remedies: [Remedy],
    systemError: SystemError?
  ) {
    self.kind = kind
    self.problem = problem
    self.path = path
    self.remedies = remedies
    self.systemError = systemError
  }

  /// The path.
  public var context: ErrorContext { ErrorContext(file: path) }

  /// The failed system call's error number, if there was one.
  public var underlying: (any Error)? { systemError }

  /// One line that says what is wrong and where.
  public var description: String { "\(problem) (\(path))" }

  /// The error of a failed system call, described by its `errno`.
  static func fromErrno(
    _ kind: DiagnosticKind, _ action: String, path: String, code: Int32 = errno
  ) -> FileError {
    FileError(
      kind, "\(action): \(reason(code))", path: path, remedies: [],
      systemError: SystemError(code: code, description: reason(code)))
  }

  /// The system's text for an error number.
  static func reason(_ code: Int32) -> String {
    strerror(code).map { String(cString: $0) } ?? "error \(code)"
  }
}
