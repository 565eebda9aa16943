package import CkptPlatform

/// A file or a folder that may be a checkpoint.
package enum CheckpointInput {
  /// An open file and its first bytes, 512 or all.
  case file(File, start: [UInt8])
  /// A folder. Its files are opened with `Folder.open(_:)`, which rejects files outside the folder.
  case folder(Folder)

  /// Opens the file or folder at `path`.
  ///
  /// - Throws: `FileError`.
  package init(_ path: String) throws {
    if Folder.exists(at: path) {
      self = .folder(try Folder(path))
    } else {
      try self.init(File(readingFrom: path))
    }
  }

  /// Reads the first bytes of an open file.
  ///
  /// - Throws: `FileError`.
  package init(_ file: File) throws {
    self = .file(file, start: try file.bytes(at: 0, count: min(file.size, 512)))
  }

  /// The error for formats that are files, not folders.
  package var isNoFile: FileError { FileError(.cannotOpen, "is a folder, not a file", path: path) }

  /// The path of the file or folder.
  package var path: String {
    switch self {
    case .file(let file, _): file.path
    case .folder(let folder): folder.path
    }
  }
}
