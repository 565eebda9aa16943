#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

/// Writes a file atomically: it appears under its name when it is complete, or not at all.
///
/// The file is written in the target's folder. If the system supports it, the file has no name
/// until it is complete, so that nothing is left behind even if the process is killed; otherwise it
/// has a temporary name, and is removed when the object is released.
package final class AtomicOutput: Sendable {
  /// The file to write to.
  package var file: File { pending.file }
  /// The path that was requested.
  package let path: String
  private let target: String
  private let pending: PendingFile
  private let replacesExisting: Bool
  private let cancellation: Cancellation

  /// Begins to write a file at `path`.
  ///
  /// If `path` is a symbolic link, the file that it points to is replaced. The new file takes over
  /// the owner, permissions, and extended attributes of a replaced one; other hard links to that one
  /// keep the old contents.
  ///
  /// - Throws: `FileError` of kind `.cannotCreate`.
  package init(
    path: String, replacingExisting: Bool, cancellation: Cancellation = Cancellation()
  ) throws(FileError) {
    guard !path.isEmpty, !path.utf8.contains(0) else {
      throw FileError(.cannotCreate, "not a file's path", path: path)
    }
    self.path = path
    self.cancellation = cancellation
    replacesExisting = replacingExisting
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
      guard replacingExisting else { throw PendingFile.exists(path) }
      target = try Self.fileBehind(path)
    } else if errno != ENOENT {
      throw .fromErrno(.cannotCreate, "cannot create", path: path)
    } else if path.hasSuffix("/") {
      throw FileError(.cannotCreate, "is a folder's path; name a file in it", path: path)
    }
    self.target = target
    let folder = Folder.parent(of: target)
    TemporaryFiles.removeAbandoned(in: folder)
    pending = try PendingFile(in: folder, path: path, replacing: target)
  }

  /// Whether there is a file or folder at `path`, which an output would replace.
  package static func exists(at path: String) -> Bool {
    !path.utf8.contains(0) && access(path, F_OK) == 0
  }

  /// The path of the file to which a symbolic link leads; `path` if it is no link.
  private static func fileBehind(_ path: String) throws(FileError) -> String {
    var status = stat()
    guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFLNK else { return path }
    guard let resolved = realpath(path, nil) else {
      throw .fromErrno(.cannotCreate, "cannot follow the link", path: path)
    }
    defer { free(resolved) }
    guard let target = String(validatingCString: resolved) else {
      throw FileError(.cannotCreate, "is a link to a path that is not UTF-8", path: path)
    }
    return target
  }

  /// Gives the file its name, after its bytes are on the disk.
  ///
  /// - Parameter isLast: whether this is the last output of the work, after which it cannot be
  ///   canceled.
  /// - Throws: `FileError`; `CancelledError` if the work was canceled before.
  package func commit(isLast: Bool = true) throws {
    try pending.sync()
    try cancellation.commit(isLast: isLast) { () throws(FileError) in
      try pending.putInPlace(at: target, replacing: replacesExisting)
    }
    try Folder.sync(Folder.parent(of: target))
  }
}
