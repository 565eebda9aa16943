#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

/// A lock of a folder against other processes that write in it, held until the object is released.
///
/// It is a lock of the folder itself (`flock`), which leaves no file behind. File systems without
/// locks are not locked.
package final class FolderLock: Sendable {
  /// How a folder is locked.
  package enum Share: Sendable {
    /// No other process writes in the folder.
    case alone
    /// Other processes may write in the folder that share it, too, such as the jobs of one output.
    case shared
  }

  private let descriptor: Int32

  /// Locks the folder at `path`.
  ///
  /// - Throws: `FileError` of kind `.cannotCreate` if another process is writing in it, or it cannot
  ///   be opened.
  package init(_ path: String, _ share: Share) throws(FileError) {
    descriptor = open(path, O_RDONLY | O_CLOEXEC | O_DIRECTORY)
    guard descriptor >= 0 else { throw .fromErrno(.cannotCreate, "cannot open", path: path) }
    let kind = share == .alone ? LOCK_EX : LOCK_SH
    var code: Int32 = 0
    repeat {
      code = flock(descriptor, kind | LOCK_NB) == 0 ? 0 : errno
    } while code == EINTR
    // Other errors mean that there are no locks here.
    guard code != EWOULDBLOCK else {
      throw FileError(
        .cannotCreate, "another process is writing in the folder", path: path,
        hint: "wait until it has ended")
    }
  }

  deinit { close(descriptor) }
}
