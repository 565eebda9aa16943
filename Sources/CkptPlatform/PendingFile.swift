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
  private let cancellation: Cancellation

  /// Creates a file in `folder`; error messages name it `path`.
  init(in folder: String, path: String, cancellation: Cancellation) throws(FileError) {
    let made = try Self.make(in: folder, path: path)
    temporaryPath = made.name
    self.cancellation = cancellation
    if let name = made.name { cancellation.addTemporary(name) }
    file = try File(adopting: made.descriptor, path: path, kind: .cannotCreate)
  }

  deinit {
    // Has no effect if the file was renamed.
    if let temporaryPath {
      unlink(temporaryPath)
      cancellation.dropTemporary(temporaryPath)
    }
  }

  /// Sets the permissions of the file.
  func setMode(_ mode: UInt32) { _ = fchmod(file.descriptor, mode_t(mode)) }

  /// Waits until the bytes are on the disk.
  ///
  /// - Throws: `FileError`.
  func sync() throws(FileError) {
    guard fsync(file.descriptor) == 0 else {
      throw .fromErrno(.inputOutput, "cannot write to the disk", path: file.path)
    }
  }

  /// Gives the file its final name.
  ///
  /// - Parameter replacing: whether an existing file may be replaced; if not, one that was created
  ///   in the meantime is kept and is an error.
  func putInPlace(at target: String, replacing: Bool) throws(FileError) {
    if !replacing {
      // A hard link, unlike renaming, never replaces a file that was created in the meantime.
      if link(to: target) { return }
      guard errno != EEXIST else { throw Self.exists(file.path) }
      guard errno == EPERM || errno == ENOTSUP, access(target, F_OK) != 0 else { throw failure() }
    }
    let name = temporaryPath ?? Self.temporaryName(in: Self.folder(of: target))
    if temporaryPath == nil, !link(to: name) { throw failure() }
    guard rename(name, target) == 0 else {
      let error = failure()
      unlink(name)
      throw error
    }
  }

  private func failure() -> FileError {
    .fromErrno(.cannotCreate, "cannot put the file in place", path: file.path)
  }

  static func exists(_ path: String) -> FileError {
    FileError(.cannotCreate, "exists already", path: path, hint: "\(.replaceExisting) replaces it")
  }

  /// The folder part of a path.
  static func folder(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  static func temporaryName(in folder: String) -> String {
    folder + "/.ckpt-\(String(UInt64.random(in: 0...UInt64.max), radix: 36)).tmp"
  }

  /// Writes the names in a folder to the disk; errors are ignored.
  static func syncFolder(_ path: String) {
    let folder = open(path, O_RDONLY | O_CLOEXEC)
    guard folder >= 0 else { return }
    _ = fsync(folder)
    close(folder)
  }

  /// Gives the open file another name; returns whether that succeeded.
  private func link(to target: String) -> Bool {
    #if os(Linux)
      guard temporaryPath == nil else { return hardLink(to: target) }
      return linkat(
        AT_FDCWD, "/proc/self/fd/\(file.descriptor)", AT_FDCWD, target, AT_SYMLINK_FOLLOW) == 0
    #else
      return hardLink(to: target)
    #endif
  }

  private func hardLink(to target: String) -> Bool {
    guard let temporaryPath else { return false }
    return linkat(AT_FDCWD, temporaryPath, AT_FDCWD, target, 0) == 0
  }

  private static func make(
    in folder: String, path: String
  ) throws(FileError) -> (descriptor: Int32, name: String?) {
    File.allowManyOpenFiles()
    #if os(Linux)
      // The constant is O_TMPFILE, which Swift does not import: a file without a name.
      let unnamed = open(folder, 0o20_000_000 | O_DIRECTORY | O_RDWR | O_CLOEXEC, mode_t(0o666))
      if unnamed >= 0, access("/proc/self/fd/\(unnamed)", F_OK) == 0 { return (unnamed, nil) }
      if unnamed >= 0 { close(unnamed) }
    #endif
    for _ in 0..<8 {
      let name = temporaryName(in: folder)
      let descriptor = open(name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, mode_t(0o666))
      if descriptor >= 0 { return (descriptor, name) }
      guard errno == EEXIST else { break }
    }
    throw .fromErrno(.cannotCreate, "cannot create", path: path)
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
    let pending = try PendingFile(in: folder, path: path, cancellation: Cancellation())
    try fill(pending.file)
    let copy = dup(pending.file.descriptor)
    guard copy >= 0 else { throw FileError.fromErrno(.inputOutput, "cannot open anew", path: path) }
    return try File(adopting: copy, path: path, kind: .inputOutput)
  }
}
