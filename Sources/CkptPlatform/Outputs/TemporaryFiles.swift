internal import CCkptLinux
internal import Synchronization

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

/// The names of outputs that are not complete.
///
/// Only systems that cannot write a file without a name need them for long; on others a name exists
/// for a moment, while an existing file is replaced. A process that is killed then leaves one behind;
/// the next output in the same folder removes it. Each is locked by its process (`flock`), so that
/// one in use is recognized.
enum TemporaryFiles {
  private static let paths = Mutex<Set<String>>([])

  /// A new name in `folder`, which ``removeAll()`` removes until it is dropped.
  static func newPath(in folder: String) -> String {
    let path = folder + "/.ckpt-\(random()).tmp"
    paths.withLock { _ = $0.insert(path) }
    return path
  }

  /// Text that occurs in no other name.
  static func random() -> String { String(UInt64.random(in: 0...UInt64.max), radix: 36) }

  /// Forgets a name that is no longer used.
  static func drop(_ path: String) { paths.withLock { _ = $0.remove(path) } }

  /// Removes all files that have a temporary name now. Called before the process exits without
  /// unwinding the stack.
  static func removeAll() {
    paths.withLock { paths in
      for path in paths { unlink(path) }
      paths = []
    }
  }

  /// Locks an open file or folder as long as it is open, to show that it is in use.
  static func lock(_ descriptor: Int32) { _ = flock(descriptor, LOCK_EX | LOCK_NB) }

  /// Removes the temporary files and folders in `folder` that no process uses.
  ///
  /// Nothing is removed on network file systems, where a lock of another machine may not be seen.
  static func removeAbandoned(in folder: String) {
    guard let names = try? Folder(folder).names else { return }
    let own = names.filter { isTemporary($0) }
    guard !own.isEmpty, isLocal(folder) else { return }
    for name in own {
      let path = folder + "/" + name
      let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW)
      guard descriptor >= 0 else { continue }
      defer { close(descriptor) }
      var status = stat()
      guard fstat(descriptor, &status) == 0, status.st_uid == geteuid(),
        flock(descriptor, LOCK_EX | LOCK_NB) == 0
      else { continue }
      if status.st_mode & S_IFMT == S_IFDIR {
        removeFolder(path, descriptor)
      } else {
        unlink(path)
      }
    }
  }

  /// Removes the files in a temporary folder, which is open, and the folder. Its path may be that of
  /// another folder by now, if it is in one that others may write in.
  static func removeFolder(_ path: String, _ descriptor: Int32) {
    for name in (try? Folder(path).names) ?? [] { unlinkat(descriptor, name, 0) }
    rmdir(path)
  }

  static func isTemporary(_ name: String) -> Bool {
    guard name.hasPrefix(".ckpt-"), name.hasSuffix(".tmp") else { return false }
    let middle = name.dropFirst(6).dropLast(4)
    return !middle.isEmpty
      && middle.utf8.allSatisfy {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
          || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0)
      }
  }

  private static func isLocal(_ folder: String) -> Bool {
    var status = statfs()
    guard statfs(folder, &status) == 0 else { return false }
    #if os(Linux)
      // ext, XFS, Btrfs, tmpfs, overlayfs, ZFS, F2FS, FAT, bcachefs.
      return [
        0xEF53, 0x5846_5342, 0x9123_683E, 0x0102_1994, 0x794C_7630, 0x2FC1_2FC1, 0xF2F5_2010,
        0x4D44, 0xCA45_1A4E,
      ].contains(UInt32(truncatingIfNeeded: status.f_type))
    #else
      return status.f_flags & UInt32(MNT_LOCAL) != 0
    #endif
  }
}
