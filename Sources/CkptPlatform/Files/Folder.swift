#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

/// A folder whose files are opened by name; files outside the folder cannot be opened through it.
package struct Folder: Sendable {
  /// The path of the folder.
  package let path: String
  /// The names of all entries, including hidden ones, sorted by their bytes.
  package let names: [String]
  /// The number of entries whose names are not UTF-8. They are not in ``names``, since a name that
  /// was changed would be that of another file.
  package let unnamedCount: Int

  /// Lists a folder.
  ///
  /// - Throws: `FileError` of kind `.cannotOpen`.
  package init(_ path: String) throws(FileError) {
    self.path = Self.trimmed(path)
    guard !path.utf8.contains(0), let listing = opendir(path) else {
      throw .fromErrno(.cannotOpen, "cannot list the folder", path: path)
    }
    defer { closedir(listing) }
    var (names, unnamedCount) = ([String](), 0)
    while true {
      errno = 0
      guard let entry = readdir(listing) else {
        guard errno == 0 else {
          throw .fromErrno(.cannotOpen, "cannot list the folder", path: path)
        }
        break
      }
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(validatingCString: $0) }
      }
      guard let name else {
        unnamedCount += 1
        continue
      }
      if name != ".", name != ".." { names.append(name) }
    }
    self.names = names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    self.unnamedCount = unnamedCount
  }

  /// The path without slashes at its end.
  package static func trimmed(_ path: String) -> String {
    var path = path[...]
    while path.utf8.count > 1, path.utf8.last == UInt8(ascii: "/") { path.removeLast() }
    return String(path)
  }

  /// The path of the folder in which `path` is.
  package static func parent(of path: String) -> String {
    guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  /// Writes the names in a folder to the disk.
  ///
  /// - Throws: `FileError` of kind `.inputOutput`.
  static func sync(_ path: String) throws(FileError) {
    let folder = systemOpen(path, O_RDONLY | O_CLOEXEC)
    // A folder that cannot be read can be written, and file systems need not support this.
    guard folder >= 0 else { return }
    defer { close(folder) }
    while fsync(folder) != 0 {
      switch errno {
      case EINTR: continue
      case EINVAL, ENOTSUP, EBADF, EROFS, EACCES: return
      default: throw .fromErrno(.inputOutput, "cannot write to the disk", path: path)
      }
    }
  }

  /// Whether there is a folder, or a link to one, at `path`.
  package static func exists(at path: String) -> Bool {
    var status = stat()
    return !path.utf8.contains(0) && stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  /// Whether there is a symbolic link at `path`, whatever it points to.
  package static func isLink(at path: String) -> Bool {
    var status = stat()
    return !path.utf8.contains(0) && lstat(path, &status) == 0
      && status.st_mode & S_IFMT == S_IFLNK
  }

  /// The size in bytes of the regular file at `path`, without opening it; nil if there is none.
  package static func byteCount(ofFileAt path: String) -> Int? {
    var status = stat()
    guard !path.utf8.contains(0), stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG
    else { return nil }
    return Int(exactly: status.st_size)
  }

  /// Whether both paths refer to the same folder.
  package static func isSame(_ one: String, _ other: String) -> Bool {
    var (first, second) = (stat(), stat())
    return !one.utf8.contains(0) && !other.utf8.contains(0) && stat(one, &first) == 0
      && stat(other, &second) == 0 && first.st_dev == second.st_dev
      && first.st_ino == second.st_ino
  }

  /// Checks that the folder of an output's path exists, before anything is created.
  ///
  /// - Throws: `FileError` of kind `.cannotCreate` if it does not.
  package static func checkParent(of path: String) throws(FileError) {
    let parent = parent(of: trimmed(path))
    guard !exists(at: parent) else { return }
    throw FileError(
      .cannotCreate, "cannot create: there is no folder \(parent.filter { $0 >= " " })", path: path,
      hint: "only the last folder of an output that is a folder is made")
  }

  /// Creates a folder at `path`, unless there is one.
  ///
  /// - Throws: `FileError` of kind `.cannotCreate`.
  package static func create(at path: String) throws(FileError) {
    guard !path.utf8.contains(0), mkdir(path, 0o777) == 0 || exists(at: path) else {
      throw .fromErrno(.cannotCreate, "cannot create the folder", path: path)
    }
  }

  /// Lists the folder that contains `file`.
  ///
  /// - Throws: `FileError` of kind `.cannotOpen`.
  package init(of file: File) throws(FileError) { try self.init(ofFileAt: file.path) }

  /// Lists the folder that contains the file at `path`; the file itself need not exist.
  ///
  /// - Throws: `FileError` of kind `.cannotOpen`.
  package init(ofFileAt path: String) throws(FileError) {
    try self.init(Self.parent(of: path))
  }

  /// Whether `name` is a valid name of an entry: at most 255 bytes, not empty, `.`, or `..`, and
  /// without `/` and NUL.
  package static func isPlain(_ name: String) -> Bool {
    !name.isEmpty && name != "." && name != ".." && !name.utf8.contains(UInt8(ascii: "/"))
      && !name.utf8.contains(0) && name.utf8.count <= 255
  }

  /// Whether the folder has an entry of that name.
  package func contains(_ name: String) -> Bool { names.contains(name) }

  /// Opens a file in the folder.
  ///
  /// A symbolic link is followed only if its target is in the folder, or in the `blobs` folder of
  /// the same repository in Hugging Face's cache (`blobs/…` beside `snapshots/REVISION/…`), where
  /// all files of a checkpoint are links.
  ///
  /// - Throws: `FileError` of kind `.badInput` for a name or link that leads outside the folder; of
  ///   kind `.cannotOpen` if the file is missing.
  package func open(_ name: String) throws(FileError) -> File {
    try check(name)
    return try File(readingFrom: path + "/" + name)
  }

  /// Lists a subfolder, with the same rules as for files.
  ///
  /// - Throws: as ``open(_:)``.
  package func subfolder(_ name: String) throws(FileError) -> Folder {
    try check(name)
    return try Folder(path + "/" + name)
  }

  private func check(_ name: String) throws(FileError) {
    guard Self.isPlain(name) else {
      throw FileError(
        .badInput, "names a file outside its folder: \"\(name.filter { $0 >= " " })\"", path: path)
    }
    guard Self.isLink(at: path + "/" + name) else { return }
    let own = Self.resolved(path)
    let target = Self.resolved(path + "/" + name)
    guard let own, let target else {
      throw FileError(.cannotOpen, "is a link that cannot be followed", path: path + "/" + name)
    }
    var allowed = [own]
    let parts = own.split(separator: "/")
    if parts.count >= 2, parts[parts.count - 2] == "snapshots" {
      allowed.append("/" + parts.dropLast(2).joined(separator: "/") + "/blobs")
    }
    guard allowed.contains(where: { target.hasPrefix($0 == "/" ? $0 : $0 + "/") }) else {
      throw FileError(
        .badInput, "is a symbolic link that leaves its folder", path: path + "/" + name,
        hint: "put the file itself there, or name the folder where it lies")
    }
  }

  /// The absolute path of an existing file or folder without links; nil if there is none.
  package static func resolved(_ path: String) -> String? {
    guard let resolved = realpath(path, nil) else { return nil }
    defer { free(resolved) }
    return String(validatingCString: resolved)
  }
}

/// The system's `open`, which the method's name hides.
private func systemOpen(_ path: String, _ flags: Int32) -> Int32 { open(path, flags) }
