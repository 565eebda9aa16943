#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

/// A file that appears under its name when it is complete, or not at all.
///
/// It is written beside its target: without a name where the system can do that, so that nothing stays
/// even if the process is killed; else under a temporary name that goes when the object goes.
public final class AtomicOutput: Sendable {
  /// The file to write to.
  public let file: File
  /// The path that was asked for.
  public let path: String
  private let target: String
  private let temporaryPath: String?
  private let replacesExisting: Bool
  private let cancellation: Cancellation

  /// Starts a file that will stand at `path`.
  ///
  /// If `path` is a symbolic link, the file that it points to is replaced. A file that is replaced
  /// leaves its permissions to the new one.
  /// - Throws: `FileError` of kind `.cannotCreate`.
  public init(
    path: String, replacingExisting: Bool, cancellation: Cancellation = Cancellation()
  ) throws(FileError) {
    guard !path.isEmpty, !path.utf8.contains(0) else {
      throw FileError(.cannotCreate, "not a file's path", path: path)
    }
    self.path = path
    self.cancellation = cancellation
    replacesExisting = replacingExisting
    var mode: mode_t?
    var status = stat()
    var target = path
    if stat(path, &status) == 0 {
      let type = status.st_mode & S_IFMT
      guard type != S_IFDIR else {
        throw FileError(.cannotCreate, "is a folder; name a file in it", path: path)
      }
      guard type == S_IFREG else {
        throw FileError(.cannotCreate, "is not a regular file", path: path)
      }
      guard replacingExisting else { throw Self.exists(path) }
      mode = status.st_mode & 0o7777
      if let resolved = realpath(path, nil) {
        target = String(cString: resolved)
        free(resolved)
      }
    } else if errno != ENOENT {
      throw .fromErrno(.cannotCreate, "cannot create", path: path)
    } else if path.hasSuffix("/") {
      throw FileError(.cannotCreate, "is a folder's path; name a file in it", path: path)
    }
    self.target = target
    let made = try Self.makeTemporary(besides: target, path: path)
    temporaryPath = made.name
    cancellation.setTemporary(made.name)
    file = try File(adopting: made.descriptor, path: path, kind: .cannotCreate)
    if let mode { _ = fchmod(made.descriptor, mode) }
  }

  deinit {
    // Gone already if it was put in place.
    if let temporaryPath {
      unlink(temporaryPath)
      cancellation.setTemporary(nil)
    }
  }

  /// Puts the file in place: its bytes are on the disk before its name is.
  ///
  /// - Throws: `FileError`, or `CancelledError` if the work was cancelled before.
  public func commit() throws {
    guard fsync(file.descriptor) == 0 else {
      throw FileError.fromErrno(.inputOutput, "cannot write to the disk", path: path)
    }
    try cancellation.commit { () throws(FileError) in try putInPlace() }
    let folder = open(Self.folder(of: target), O_RDONLY | O_CLOEXEC)
    if folder >= 0 {
      _ = fsync(folder)
      close(folder)
    }
  }

  private func putInPlace() throws(FileError) {
    if !replacesExisting {
      // A link, unlike a renaming, never takes the place of a file that has appeared meanwhile.
      if Self.link(file, temporaryPath, to: target) { return }
      guard errno != EEXIST else { throw Self.exists(path) }
      guard errno == EPERM || errno == ENOTSUP, access(target, F_OK) != 0 else { throw failure() }
    }
    let name = temporaryPath ?? Self.temporaryName(for: target)
    if temporaryPath == nil, !Self.link(file, nil, to: name) { throw failure() }
    guard rename(name, target) == 0 else {
      let error = failure()
      unlink(name)
      throw error
    }
  }

  private func failure() -> FileError {
    .fromErrno(.cannotCreate, "cannot put the file in place", path: path)
  }

  private static func exists(_ path: String) -> FileError {
    FileError(.cannotCreate, "exists already", path: path, hint: "--force replaces it")
  }

  private static func folder(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  private static func temporaryName(for target: String) -> String {
    let number = String(UInt64.random(in: 0...UInt64.max), radix: 36)
    return folder(of: target) + "/.ckpt-\(number).tmp"
  }

  /// Gives an open file a name; true if that worked.
  private static func link(_ file: File, _ name: String?, to target: String) -> Bool {
    #if os(Linux)
      guard name == nil else { return Self.hardLink(name, target) }
      return linkat(
        AT_FDCWD, "/proc/self/fd/\(file.descriptor)", AT_FDCWD, target, AT_SYMLINK_FOLLOW) == 0
    #else
      return hardLink(name, target)
    #endif
  }

  private static func hardLink(_ name: String?, _ target: String) -> Bool {
    guard let name else { return false }
    return linkat(AT_FDCWD, name, AT_FDCWD, target, 0) == 0
  }

  private static func makeTemporary(
    besides target: String, path: String
  ) throws(FileError) -> (descriptor: Int32, name: String?) {
    #if os(Linux)
      // O_TMPFILE, which Swift does not see: a file without a name.
      let unnamed = open(
        folder(of: target), 0o20_000_000 | O_DIRECTORY | O_RDWR | O_CLOEXEC, mode_t(0o666))
      if unnamed >= 0, access("/proc/self/fd/\(unnamed)", F_OK) == 0 { return (unnamed, nil) }
      if unnamed >= 0 { close(unnamed) }
    #endif
    for _ in 0..<8 {
      let name = temporaryName(for: target)
      let descriptor = open(name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, mode_t(0o666))
      if descriptor >= 0 { return (descriptor, name) }
      guard errno == EEXIST else { break }
    }
    throw .fromErrno(.cannotCreate, "cannot create", path: path)
  }
}
