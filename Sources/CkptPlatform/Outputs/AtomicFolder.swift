internal import Synchronization

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

/// Writes several files in one folder atomically.
///
/// A new folder appears with all of its files, or not at all. In an existing folder, other files
/// are kept, and ``FolderReplacement`` puts the new ones in place. An existing folder is locked
/// meanwhile, so that two processes cannot mix their files.
package final class AtomicFolder: Sendable {
  /// The folder's path.
  package let path: String
  /// Whether the folder does not exist yet.
  package let isNew: Bool
  private let replacesExisting: Bool
  private let cancellation: Cancellation
  private let lock: FolderLock?
  private let pending = Mutex<[(name: String, file: PendingFile)]>([])

  /// Begins to write files in the folder at `path`.
  ///
  /// - Parameter replacingExisting: whether existing files may be replaced.
  /// - Throws: `FileError` of kind `.cannotCreate`, also if another process is writing in the
  ///   folder.
  package init(
    path: String, replacingExisting: Bool, cancellation: Cancellation = Cancellation()
  ) throws(FileError) {
    guard !path.isEmpty, !path.utf8.contains(0) else {
      throw FileError(.cannotCreate, "not a folder's path", path: path)
    }
    self.path = Folder.trimmed(path)
    self.cancellation = cancellation
    replacesExisting = replacingExisting
    var status = stat()
    if stat(self.path, &status) == 0 {
      guard status.st_mode & S_IFMT == S_IFDIR else {
        throw FileError(.cannotCreate, "is no folder", path: self.path)
      }
      isNew = false
      lock = try FolderLock(self.path, .alone)
    } else if errno == ENOENT {
      isNew = true
      lock = nil
    } else {
      throw .fromErrno(.cannotCreate, "cannot create", path: self.path)
    }
    TemporaryFiles.removeAbandoned(in: workFolder)
  }

  /// The folder in which files are written before they get their names.
  private var workFolder: String { isNew ? Folder.parent(of: path) : path }

  /// Makes a file in the folder, to be written by the caller. It appears after the files made
  /// before.
  ///
  /// - Throws: `FileError` of kind `.cannotCreate`, also if the file exists and must not be
  ///   replaced.
  package func makeFile(_ name: String) throws(FileError) -> File {
    guard Folder.isPlain(name) else {
      throw FileError(.cannotCreate, "not the name of a file in a folder: \"\(name)\"", path: path)
    }
    let target = path + "/" + name
    if !isNew, !replacesExisting, access(target, F_OK) == 0 { throw PendingFile.exists(target) }
    let file = try PendingFile(in: workFolder, path: target, replacing: isNew ? nil : target)
    pending.withLock { $0.append((name, file)) }
    return file.file
  }

  /// Waits until the bytes of the file made last are on the disk.
  ///
  /// - Throws: `FileError`.
  package func sync() throws(FileError) {
    try pending.withLock { $0.last?.file }?.sync()
  }

  /// Gives all files their names, after their bytes are on the disk.
  ///
  /// - Parameters:
  ///   - obsolete: returns, given the names in the folder, those of files that are removed
  ///     afterwards.
  ///   - redirecting: returns, given an existing file of the name of the file made last (an index),
  ///     its bytes with other names of the files that it refers to; nil if it refers to none. The
  ///     names are given by a dictionary. See ``FolderReplacement``.
  /// - Throws: `FileError`; `CancelledError` if the work was canceled before.
  package func commit(
    removing obsolete: ([String]) -> [String] = { _ in [] },
    redirecting: (File, [String: String]) -> [UInt8]? = { _, _ in nil }
  ) throws {
    let files = pending.withLock { $0 }
    for (_, file) in files { try file.sync() }
    try cancellation.commit { () throws(FileError) in
      if isNew {
        try makeFolder(files)
      } else {
        try FolderReplacement(path, files, replacesExisting: replacesExisting)
          .run(removing: obsolete, redirecting: redirecting)
      }
    }
    if isNew { try Folder.sync(workFolder) }
  }

  private func makeFolder(_ files: [(name: String, file: PendingFile)]) throws(FileError) {
    let temporary = TemporaryFiles.newPath(in: workFolder)
    defer { TemporaryFiles.drop(temporary) }
    guard mkdir(temporary, 0o777) == 0 else {
      throw .fromErrno(.cannotCreate, "cannot create the folder", path: path)
    }
    let descriptor = open(temporary, O_RDONLY | O_CLOEXEC | O_DIRECTORY)
    guard descriptor >= 0 else {
      let error = FileError.fromErrno(.cannotCreate, "cannot create the folder", path: path)
      rmdir(temporary)
      throw error
    }
    TemporaryFiles.lock(descriptor)
    defer { close(descriptor) }
    do throws(FileError) {
      for (name, file) in files {
        try file.putInPlace(at: temporary + "/" + name, replacing: false)
      }
      try Folder.sync(temporary)
      // `rename` replaces a folder that was created in the meantime only if it is empty.
      guard rename(temporary, path) == 0 else {
        throw .fromErrno(.cannotCreate, "cannot put the folder in place", path: path)
      }
    } catch {
      TemporaryFiles.removeFolder(temporary, descriptor)
      throw error
    }
  }
}
