internal import CkptPlatform

/// What may be a checkpoint: a file, or a folder of files.
enum CheckpointInput {
  /// An open file and its first bytes (512, or all that there are).
  case file(File, start: [UInt8])
  /// A folder; its files are opened by `Folder.open(_:)`, which lets none lie outside.
  case folder(Folder)

  /// Opens what is at `path`.
  ///
  /// - Throws: `FileError`.
  init(_ path: String) throws {
    if Folder.exists(at: path) {
      self = .folder(try Folder(path))
    } else {
      try self.init(File(readingFrom: path))
    }
  }

  /// Looks at the first bytes of an open file.
  init(_ file: File) throws {
    self = .file(file, start: try file.bytes(at: 0, count: min(file.size, 512)))
  }

  /// The error of a reader that takes files only.
  var isNoFile: FileError { FileError(.cannotOpen, "is a folder, not a file", path: path) }

  /// How it was named.
  var path: String {
    switch self {
    case .file(let file, _): file.path
    case .folder(let folder): folder.path
    }
  }
}
