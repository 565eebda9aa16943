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
  /// If `path` is a symbolic link, the file that it points to is replaced. A replaced file's
  /// permissions are kept.
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
      guard replacingExisting else { throw PendingFile.exists(path) }
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
    pending = try PendingFile(
      in: PendingFile.folder(of: target), path: path, cancellation: cancellation)
    if let mode { pending.setMode(UInt32(mode)) }
  }

  /// Whether there is a file or folder at `path`, which an output would replace.
  package static func exists(at path: String) -> Bool {
    !path.utf8.contains(0) && access(path, F_OK) == 0
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
    PendingFile.syncFolder(PendingFile.folder(of: target))
  }
}
