#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

/// A call to the operating system that failed, and on what.
public struct FileError: Diagnostic, Hashable {
  /// How scripts tell it apart.
  public let kind: DiagnosticKind
  /// What is wrong, such as "cannot open: No such file or directory".
  public let problem: String
  /// The file that it is about.
  public let path: String
  /// What to do about it.
  public let remedies: [Remedy]

  /// An error about `path`.
  public init(_ kind: DiagnosticKind, _ problem: String, path: String, hint: Remedy? = nil) {
    self.kind = kind
    self.problem = problem
    self.path = path
    remedies = [hint].compactMap(\.self)
  }

  /// What is wrong and where, on one line.
  public var description: String { "\(problem) (\(path))" }

  /// The error of the system call that has just failed.
  static func fromErrno(
    _ kind: DiagnosticKind, _ action: String, path: String, code: Int32 = errno
  ) -> FileError {
    let reason = strerror(code).map { String(cString: $0) } ?? "error \(code)"
    return FileError(kind, "\(action): \(reason)", path: path)
  }
}
