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
/// are kept. New files are written without a name and get their names one after the other when all
/// are complete. The file that was made last must be the one by which readers find the others (an
/// index): an existing one is removed first, and the new one appears last. After a power failure,
/// readers therefore find the old files, all new files, or no index, but never an index of a
/// mixture.
package final class AtomicFolder: Sendable {
  /// The folder's path.
  package let path: String
  /// Whether the folder does not exist yet.
  package let isNew: Bool
  private let replacesExisting: Bool
  private let cancellation: Cancellation
  private let pending = Mutex<[(name: String, file: PendingFile)]>([])

  /// Begins to write files in the folder at `path`.
  ///
  /// - Parameter replacingExisting: whether existing files may be replaced.
  /// - Throws: `FileError` of kind `.cannotCreate`.
  package init(
    path: String, replacingExisting: Bool, cancellation: Cancellation = Cancellation()
  ) throws(FileError) {
    guard !path.isEmpty, !path.utf8.contains(0) else {
      throw FileError(.cannotCreate, "not a folder's path", path: path)
    }
    var path = path[...]
    while path.count > 1, path.hasSuffix("/") { path.removeLast() }
    self.path = String(path)
    self.cancellation = cancellation
    replacesExisting = replacingExisting
    var status = stat()
    if stat(self.path, &status) == 0 {
      guard status.st_mode & S_IFMT == S_IFDIR else {
        throw FileError(.cannotCreate, "is no folder", path: self.path)
      }
      isNew = false
    } else if errno == ENOENT {
      isNew = true
    } else {
      throw .fromErrno(.cannotCreate, "cannot create", path: self.path)
    }
  }

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
    let file = try PendingFile(
      in: isNew ? PendingFile.folder(of: path) : path, path: target, cancellation: cancellation)
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
  /// - Parameter obsolete: the names of files in the folder that are removed afterwards.
  /// - Throws: `FileError`; `CancelledError` if the work was canceled before.
  package func commit(removing obsolete: [String] = []) throws {
    let files = pending.withLock { $0 }
    for (_, file) in files { try file.sync() }
    try cancellation.commit { () throws(FileError) in
      if isNew { try makeFolder(files) } else { try replaceFiles(files, obsolete) }
    }
    PendingFile.syncFolder(isNew ? PendingFile.folder(of: path) : path)
  }

  private func makeFolder(_ files: [(name: String, file: PendingFile)]) throws(FileError) {
    let temporary = PendingFile.temporaryName(in: PendingFile.folder(of: path))
    guard mkdir(temporary, 0o777) == 0 else {
      throw .fromErrno(.cannotCreate, "cannot create the folder", path: path)
    }
    do throws(FileError) {
      for (name, file) in files {
        try file.putInPlace(at: temporary + "/" + name, replacing: false)
      }
      PendingFile.syncFolder(temporary)
      // `rename` replaces a folder that was created in the meantime only if it is empty.
      guard rename(temporary, path) == 0 else {
        throw .fromErrno(.cannotCreate, "cannot put the folder in place", path: path)
      }
    } catch {
      for (name, _) in files { unlink(temporary + "/" + name) }
      rmdir(temporary)
      throw error
    }
  }

  private func replaceFiles(
    _ files: [(name: String, file: PendingFile)], _ obsolete: [String]
  ) throws(FileError) {
    if let last = files.last, replacesExisting { unlink(path + "/" + last.name) }
    var added: [String] = []
    do throws(FileError) {
      for (name, file) in files {
        let target = path + "/" + name
        let isAdded = access(target, F_OK) != 0
        try file.putInPlace(at: target, replacing: replacesExisting)
        if isAdded { added.append(target) }
      }
    } catch {
      for target in added { unlink(target) }
      throw error
    }
    for name in obsolete where Folder.isPlain(name) { unlink(path + "/" + name) }
  }
}
