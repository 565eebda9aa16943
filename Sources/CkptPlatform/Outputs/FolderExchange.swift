internal import CCkptLinux

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

/// A folder of files that is written beside an existing one, and takes its place in one step.
///
/// Until then the existing folder is as it was. What a killed process leaves beside it is removed by
/// the next output there.
package struct FolderExchange: ~Copyable {
  /// The path of the new folder, while it is written.
  package let path: String
  private let target: String
  private let descriptor: Int32

  /// Creates an empty folder beside the one at `target`, which exists.
  ///
  /// - Throws: `FileError` of kind `.cannotCreate`.
  package init(replacing target: String) throws(FileError) {
    let resolved = Folder.resolved(target) ?? target
    let parent = Folder.parent(of: resolved)
    TemporaryFiles.removeAbandoned(in: parent)
    let name = TemporaryFiles.newPath(in: parent)
    var status = stat()
    let mode = stat(resolved, &status) == 0 ? status.st_mode & 0o777 : 0o777
    let isMade = mkdir(name, mode) == 0
    let opened = isMade ? open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1
    guard opened >= 0 else {
      let error = FileError.fromErrno(
        .cannotCreate, "cannot create a folder beside it", path: target)
      if isMade { rmdir(name) }
      TemporaryFiles.drop(name)
      throw error
    }
    TemporaryFiles.lock(opened)
    self.target = resolved
    path = name
    descriptor = opened
  }

  deinit {
    // The new folder, or the old one after the exchange: not what `descriptor` refers to.
    let left = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)
    if left >= 0 {
      TemporaryFiles.removeFolder(path, left)
      close(left)
    }
    TemporaryFiles.drop(path)
    close(descriptor)
  }

  /// Puts the new folder in the place of the old one, whose files are removed then.
  ///
  /// - Throws: `FileError` of kind `.cannotCreate`; the old folder is in its place then.
  package consuming func commit() throws(FileError) {
    try Folder.sync(path)
    if !exchange() {
      // On file systems that cannot exchange two names, one is missing for a moment.
      let aside = TemporaryFiles.newPath(in: Folder.parent(of: target))
      defer { TemporaryFiles.drop(aside) }
      guard rename(target, aside) == 0 else {
        throw .fromErrno(.cannotCreate, "cannot be replaced", path: target)
      }
      guard rename(path, target) == 0 else {
        let error = FileError.fromErrno(.cannotCreate, "cannot be replaced", path: target)
        rename(aside, target)
        throw error
      }
      rename(aside, path)
    }
    try Folder.sync(Folder.parent(of: target))
  }

  private func exchange() -> Bool {
    #if os(Linux)
      return ckpt_rename_exchange(path, target) == 0
    #elseif canImport(Darwin)
      return renamex_np(path, target, UInt32(RENAME_SWAP)) == 0
    #endif
  }
}
