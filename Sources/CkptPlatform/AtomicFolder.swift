internal import Synchronization

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

/// Several files that belong together, in one folder.
///
/// A folder that does not exist yet appears with all its files in it, or not at all. In a folder that
/// exists, the files beside stay; those that are written have no name until all of them are complete, and
/// then get theirs one after the other. The file that was made last, by which readers find the others (an
/// index), goes first if it is replaced and comes last: whenever the power fails, readers find the old
/// files, all the new ones, or no index, never an index to a mixture.
package final class AtomicFolder: Sendable {
  /// The folder's path.
  package let path: String
  /// Whether the folder is made anew.
  package let isNew: Bool
  private let replacesExisting: Bool
  private let cancellation: Cancellation
  private let pending = Mutex<[(name: String, file: PendingFile)]>([])

  /// Starts the files of the folder at `path`.
  ///
  /// - Parameter replacingExisting: whether files of the same names may be replaced.
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

  /// A new file of the folder, to be written now; it comes after those that were made before.
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

  /// Waits until the bytes of the file that was made last are on the disk.
  package func sync() throws(FileError) {
    try pending.withLock { $0.last?.file }?.sync()
  }

  /// Puts all files in place; their bytes are on the disk before.
  ///
  /// - Parameter obsolete: names of files in the folder that go at the same time.
  /// - Throws: `FileError`, or `CancelledError` if the work was cancelled before.
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
      // Takes the place of a folder that has appeared meanwhile only if that one is empty.
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
