#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

/// Puts new files in place in a folder that may hold a checkpoint of the same names.
///
/// The last file must be the one by which readers find the others: an index. The steps, each of
/// which is on the disk before the next one begins:
///
/// 1. Files that will be replaced get a second name, and the old index is replaced by one that
///    refers to these names. (Only if the old index refers to files that will be replaced.)
/// 2. The new files get their names, except the last one.
/// 3. The new index replaces the old one, in one step.
/// 4. The old files are removed.
///
/// At every moment, the index therefore refers to all old or all new files, even after a power
/// failure. If a step up to the third one fails, the ones before it are undone. On file systems
/// without hard links, the old files are renamed, and the old checkpoint is not complete meanwhile.
struct FolderReplacement {
  private let folder: String
  private let files: [(name: String, file: PendingFile)]
  private let replacesExisting: Bool
  private let mark = TemporaryFiles.random()

  init(_ folder: String, _ files: [(name: String, file: PendingFile)], replacesExisting: Bool) {
    self.folder = folder
    self.files = files
    self.replacesExisting = replacesExisting
  }

  /// What must be undone if a step fails.
  private struct Changes {
    /// The second names of existing files.
    var kept: [String: String] = [:]
    /// Whether the old index was replaced by one that refers to the second names.
    var isRedirected = false
    /// The names of files that were put in place.
    var placed: [String] = []
  }

  /// Runs the steps; see ``AtomicFolder/commit(removing:redirecting:)``.
  ///
  /// - Throws: `FileError` of kind `.cannotCreate` or `.inputOutput`. Its text says so if the new
  ///   files are in place.
  func run(
    removing obsolete: ([String]) -> [String], redirecting: (File, [String: String]) -> [UInt8]?
  ) throws(FileError) {
    guard let index = files.last else { return }
    for (name, _) in files where Folder.exists(at: path(name)) {
      throw FileError(
        .cannotCreate, "is a folder, which a file does not replace", path: path(name))
    }
    // The last steps list the folder; that it can be listed is known before anything changes.
    _ = try Folder(folder)
    var changes = Changes()
    do throws(FileError) {
      if replacesExisting { try keepOldFiles(&changes, index.name, redirecting) }
      for (name, file) in files.dropLast() { try place(name, file, &changes) }
      if files.count > 1 { try Folder.sync(folder) }
      try place(index.name, index.file, &changes)
    } catch {
      try undo(changes, index.name, after: error)
      throw error
    }
    do throws(FileError) {
      try Folder.sync(folder)
      try removeOldFiles(obsolete)
    } catch {
      throw FileError(
        .inputOutput, "the new files are in place, but \(error.problem)", path: error.path)
    }
  }

  private func path(_ name: String) -> String { folder + "/" + name }

  // MARK: - The old files

  /// The second name of a file. It keeps the ending, by which other readers know the format, and is
  /// hidden, so that a pattern such as `*.safetensors` does not match it.
  private func keptName(_ name: String, _ number: Int) -> String {
    let ending = name.lastIndex(of: ".").map { name[$0...] } ?? ""
    return ".ckpt-\(mark)-\(number).old\(ending.utf8.count > 20 ? "" : ending)"
  }

  /// Whether a name is the second one of a file that was to be replaced.
  static func isKept(_ name: String) -> Bool {
    guard name.hasPrefix(".ckpt-"), let dash = name.dropFirst(6).firstIndex(of: "-") else {
      return false
    }
    let rest = name[name.index(after: dash)...].drop { $0.isASCII && $0.isNumber }
    return rest.hasPrefix(".old") && !rest.dropFirst(4).dropFirst().contains(".")
  }

  private func keepOldFiles(
    _ changes: inout Changes, _ index: String,
    _ redirecting: (File, [String: String]) -> [UInt8]?
  ) throws(FileError) {
    var names: [String: String] = [:]
    for (number, file) in files.enumerated() where exists(file.name) {
      names[file.name] = keptName(file.name, number)
    }
    // A single file is replaced in one step.
    guard names.count > (names[index] == nil ? 0 : 1) else { return }
    for (name, second) in names.sorted(by: { $0.key < $1.key }) {
      if linkat(AT_FDCWD, path(name), AT_FDCWD, path(second), 0) == 0 {
        changes.kept[name] = second
        continue
      }
      guard [EPERM, ENOTSUP, EMLINK, ENOSYS].contains(errno) else {
        throw .fromErrno(.cannotCreate, "cannot keep the old file", path: path(name))
      }
    }
    try Folder.sync(folder)
    guard names[index] != nil, changes.kept.count == names.count,
      let old = try? File(readingFrom: path(index)),
      let redirected = redirecting(old, names.filter { $0.key != index })
    else { return }
    let file = try PendingFile(in: folder, path: path(index), replacing: path(index))
    try file.file.write(redirected, at: 0)
    try file.sync()
    try file.putInPlace(at: path(index), replacing: true)
    changes.isRedirected = true
    try Folder.sync(folder)
  }

  private func exists(_ name: String) -> Bool {
    var status = stat()
    return lstat(path(name), &status) == 0
  }

  private func removeOldFiles(_ obsolete: ([String]) -> [String]) throws(FileError) {
    let new = Set(files.map(\.name))
    let names = try Folder(folder).names
    let old = obsolete(names).filter { Folder.isPlain($0) && !new.contains($0) }
    for name in old + names.filter(Self.isKept) {
      guard unlink(path(name)) == 0 || errno == ENOENT else {
        throw .fromErrno(.inputOutput, "an old file cannot be removed", path: path(name))
      }
    }
    if names.contains(where: Self.isKept) || !old.isEmpty { try Folder.sync(folder) }
  }

  // MARK: - The new files

  private func place(
    _ name: String, _ file: PendingFile, _ changes: inout Changes
  ) throws(FileError) {
    if replacesExisting, name != files.last?.name, changes.kept[name] == nil, exists(name) {
      // Without hard links, the old file gets another name instead of a second one.
      let second = keptName(name, files.count + changes.placed.count)
      guard rename(path(name), path(second)) == 0 else {
        throw .fromErrno(.cannotCreate, "cannot keep the old file", path: path(name))
      }
      changes.kept[name] = second
      changes.placed.append(name)
      try file.putInPlace(at: path(name), replacing: true)
      return
    }
    try file.putInPlace(at: path(name), replacing: replacesExisting)
    changes.placed.append(name)
  }

  /// Gives the old files their names back, the index last.
  ///
  /// - Throws: `FileError` if that fails; then the old files are kept with their second names.
  private func undo(
    _ changes: Changes, _ index: String, after failure: FileError
  ) throws(FileError) {
    for name in changes.placed where name != index {
      guard let second = changes.kept[name] else {
        unlink(path(name))
        continue
      }
      // The redirected index refers to the second name until it is replaced.
      var source = path(second)
      if changes.isRedirected {
        source = TemporaryFiles.newPath(in: folder)
        guard linkat(AT_FDCWD, path(second), AT_FDCWD, source, 0) == 0 else {
          TemporaryFiles.drop(source)
          throw isKept(name, second, after: failure)
        }
      }
      let isRestored = rename(source, path(name)) == 0
      if changes.isRedirected {
        if !isRestored { unlink(source) }
        TemporaryFiles.drop(source)
      }
      guard isRestored else { throw isKept(name, second, after: failure) }
    }
    if changes.isRedirected, let second = changes.kept[index] {
      try? Folder.sync(folder)
      guard rename(path(second), path(index)) == 0 else {
        throw isKept(index, second, after: failure)
      }
      try? Folder.sync(folder)
    }
    for second in changes.kept.values { unlink(path(second)) }
  }

  private func isKept(_ name: String, _ second: String, after failure: FileError) -> FileError {
    FileError(
      failure.kind, "\(failure.problem); the old file is kept as \(second)", path: path(name))
  }
}
