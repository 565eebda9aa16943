internal import CCkptLinux

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

/// A file that is being written and does not have its final name yet. If the system supports it,
/// the file has no name at all, so that nothing is left behind even if the process is killed;
/// otherwise it has a temporary name, and is removed when the object is released.
final class PendingFile: Sendable {
  /// The file to write to.
  let file: File
  private let temporaryPath: String?

  /// Creates a file in `folder`; error messages name it `path`.
  ///
  /// - Parameter existing: the path of the file that it will replace, whose owner, permissions, and
  ///   extended attributes it takes over; nil or a missing file for a new one.
  init(in folder: String, path: String, replacing existing: String?) throws(FileError) {
    let made = try Self.make(in: folder, path: path)
    temporaryPath = made.name
    do throws(FileError) {
      file = try File(adopting: made.descriptor, path: path, kind: .cannotCreate)
    } catch {
      if let name = made.name { Self.remove(name) }
      throw error
    }
    if let existing { FileAttributes.copy(from: existing, to: made.descriptor) }
  }

  deinit {
    // Has no effect if the file was renamed.
    if let temporaryPath { Self.remove(temporaryPath) }
  }

  /// Waits until the bytes are on the disk.
  ///
  /// - Throws: `FileError`.
  func sync() throws(FileError) {
    // After another error, the bytes may be lost, and a second attempt would report success.
    while fsync(file.descriptor) != 0 {
      guard errno == EINTR else {
        throw .fromErrno(.inputOutput, "cannot write to the disk", path: file.path)
      }
    }
  }

  /// Gives the file its final name.
  ///
  /// - Parameter replacing: whether an existing file may be replaced; if not, one that was created
  ///   in the meantime is kept and is an error.
  func putInPlace(at target: String, replacing: Bool) throws(FileError) {
    if let temporaryPath { return try move(temporaryPath, to: target, replacing: replacing) }
    // A hard link, unlike renaming, never replaces a file that was created in the meantime.
    if !replacing {
      guard link(to: target) else { throw failure() }
      return
    }
    let name = TemporaryFiles.newPath(in: Folder.parent(of: target))
    guard link(to: name) else {
      let error = failure()
      TemporaryFiles.drop(name)
      throw error
    }
    do throws(FileError) {
      try move(name, to: target, replacing: true)
    } catch {
      Self.remove(name)
      throw error
    }
  }

  private func move(_ name: String, to target: String, replacing: Bool) throws(FileError) {
    guard replacing ? rename(name, target) == 0 : Self.renameNew(name, target) else {
      throw failure()
    }
    TemporaryFiles.drop(name)
  }

  private func failure(_ code: Int32 = errno) -> FileError {
    code == EEXIST
      ? Self.exists(file.path)
      : .fromErrno(.cannotCreate, "cannot put the file in place", path: file.path, code: code)
  }

  static func exists(_ path: String) -> FileError {
    FileError(.cannotCreate, "exists already", path: path, hint: "\(.replaceExisting) replaces it")
  }

  private static func remove(_ name: String) {
    unlink(name)
    TemporaryFiles.drop(name)
  }

  /// Renames a file unless there is one of the new name; returns whether that succeeded.
  private static func renameNew(_ name: String, _ target: String) -> Bool {
    #if os(Linux)
      if ckpt_rename_new(name, target) == 0 { return true }
    #elseif canImport(Darwin)
      if renamex_np(name, target, UInt32(RENAME_EXCL)) == 0 { return true }
    #endif
    guard errno != EEXIST else { return false }
    if linkat(AT_FDCWD, name, AT_FDCWD, target, 0) == 0 {
      unlink(name)
      return true
    }
    // Without hard links, as on FAT, an appearing file is only seen if it appears before this.
    guard errno == EPERM || errno == ENOTSUP || errno == EMLINK else { return false }
    var status = stat()
    guard lstat(target, &status) != 0 else {
      errno = EEXIST
      return false
    }
    return rename(name, target) == 0
  }

  /// Gives a file without a name its first one; returns whether that succeeded.
  private func link(to target: String) -> Bool {
    #if os(Linux)
      linkat(
        AT_FDCWD, "/proc/self/fd/\(file.descriptor)", AT_FDCWD, target, AT_SYMLINK_FOLLOW) == 0
    #else
      false
    #endif
  }

  private static func make(
    in folder: String, path: String
  ) throws(FileError) -> (descriptor: Int32, name: String?) {
    File.allowManyOpenFiles()
    #if os(Linux)
      // The constant is O_TMPFILE, which Swift does not import: a file without a name.
      let unnamed = open(folder, 0o20_000_000 | O_DIRECTORY | O_RDWR | O_CLOEXEC, mode_t(0o666))
      if unnamed >= 0, access("/proc/self/fd/\(unnamed)", F_OK) == 0 {
        // Locked before it has a name.
        TemporaryFiles.lock(unnamed)
        return (unnamed, nil)
      }
      if unnamed >= 0 { close(unnamed) }
    #endif
    var code = EEXIST
    for _ in 0..<8 {
      let name = TemporaryFiles.newPath(in: folder)
      let descriptor = open(name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, mode_t(0o666))
      code = errno
      if descriptor >= 0 {
        TemporaryFiles.lock(descriptor)
        // Another process may have taken it for abandoned before it was locked.
        var status = stat()
        if fstat(descriptor, &status) == 0, status.st_nlink > 0 { return (descriptor, name) }
        close(descriptor)
        code = EEXIST
      }
      TemporaryFiles.drop(name)
      guard code == EEXIST || code == EINTR else { break }
    }
    throw .fromErrno(.cannotCreate, "cannot create", path: path, code: code)
  }
}

extension File {
  /// Creates a file without a name in the folder for temporary files, and has `fill` write it. For
  /// data that must be read by file offset.
  ///
  /// - Parameter path: the name used in error messages.
  /// - Throws: what `fill` throws; `FileError` if the file cannot be created.
  package static func unnamed(path: String, _ fill: (File) throws -> Void) throws -> File {
    let folder = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
    let pending = try PendingFile(in: folder, path: path, replacing: nil)
    try fill(pending.file)
    let copy = dup(pending.file.descriptor)
    guard copy >= 0 else { throw FileError.fromErrno(.inputOutput, "cannot open anew", path: path) }
    return try File(adopting: copy, path: path, kind: .inputOutput)
  }
}
