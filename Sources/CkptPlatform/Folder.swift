internal import Foundation

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

/// A folder whose files are opened by name; what lies outside cannot be reached through it.
package struct Folder: Sendable {
  /// Its path.
  package let path: String
  /// What is in it, hidden files too, in the order of the names' bytes.
  package let names: [String]

  /// Reads the names in a folder.
  ///
  /// - Throws: `FileError` of kind `.cannotOpen`.
  package init(_ path: String) throws(FileError) {
    var trimmed = path[...]
    while trimmed.count > 1, trimmed.hasSuffix("/") { trimmed.removeLast() }
    self.path = String(trimmed)
    do {
      names = try FileManager.default.contentsOfDirectory(atPath: path)
        .sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    } catch {
      throw FileError(.cannotOpen, "cannot list the folder", path: path)
    }
  }

  /// Whether there is a folder at `path`, or a link to one.
  package static func exists(at path: String) -> Bool {
    var status = stat()
    return !path.utf8.contains(0) && stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  /// How many bytes the regular file at `path` has, without opening it; nil if there is none.
  package static func byteCount(ofFileAt path: String) -> Int? {
    var status = stat()
    guard !path.utf8.contains(0), stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG
    else { return nil }
    return Int(exactly: status.st_size)
  }

  /// Whether both paths lead to the same folder.
  package static func isSame(_ one: String, _ other: String) -> Bool {
    guard let one = resolved(one), let other = resolved(other) else { return false }
    return one == other
  }

  /// Refuses a path whose folder does not exist, before anything is made there.
  ///
  /// - Throws: `FileError` of kind `.cannotCreate`, the same for all that is written.
  package static func checkParent(of path: String) throws(FileError) {
    var trimmed = path[...]
    while trimmed.count > 1, trimmed.hasSuffix("/") { trimmed.removeLast() }
    let parent = PendingFile.folder(of: String(trimmed))
    guard !exists(at: parent) else { return }
    throw FileError(
      .cannotCreate, "cannot create: there is no folder \(parent.filter { $0 >= " " })", path: path,
      hint: "only the last folder of an output that is a folder is made")
  }

  /// Makes a folder at `path`, unless there is one.
  package static func create(at path: String) throws(FileError) {
    guard !path.utf8.contains(0), mkdir(path, 0o777) == 0 || exists(at: path) else {
      throw .fromErrno(.cannotCreate, "cannot create the folder", path: path)
    }
  }

  /// The folder that a file lies in.
  package init(of file: File) throws(FileError) { try self.init(ofFileAt: file.path) }

  /// The folder that the file at `path` lies in, which need not be there.
  package init(ofFileAt path: String) throws(FileError) {
    try self.init(PendingFile.folder(of: path))
  }

  /// Whether a name is that of something directly in a folder.
  package static func isPlain(_ name: String) -> Bool {
    !name.isEmpty && name != "." && name != ".." && !name.utf8.contains(UInt8(ascii: "/"))
      && !name.utf8.contains(0) && name.utf8.count <= 255
  }

  /// Whether there is something of that name.
  package func contains(_ name: String) -> Bool { names.contains(name) }

  /// Opens a file of the folder.
  ///
  /// A symbolic link is followed only if it stays in the folder, or leads to the `blobs` of the same
  /// repository in Hugging Face's cache (`blobs/…` beside `snapshots/REVISION/…`), where all files of a
  /// checkpoint are links.
  /// - Throws: `FileError`: of kind `.badInput` for a name that leaves the folder, by itself or as a link;
  ///   of kind `.cannotOpen` for a file that is missing.
  package func open(_ name: String) throws(FileError) -> File {
    try check(name)
    return try File(readingFrom: path + "/" + name)
  }

  /// The names in a folder of this folder; under the same rules as files.
  package func subfolder(_ name: String) throws(FileError) -> Folder {
    try check(name)
    return try Folder(path + "/" + name)
  }

  private func check(_ name: String) throws(FileError) {
    guard Self.isPlain(name) else {
      throw FileError(
        .badInput, "names a file outside its folder: \"\(name.filter { $0 >= " " })\"", path: path)
    }
    var status = stat()
    guard lstat(path + "/" + name, &status) == 0, status.st_mode & S_IFMT == S_IFLNK else { return }
    let own = Self.resolved(path)
    let target = Self.resolved(path + "/" + name)
    guard let own, let target else { return }
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

  private static func resolved(_ path: String) -> String? {
    guard let resolved = realpath(path, nil) else { return nil }
    defer { free(resolved) }
    return String(cString: resolved)
  }
}
