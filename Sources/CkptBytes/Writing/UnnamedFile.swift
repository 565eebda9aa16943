package import CkptPlatform

extension File {
  /// Creates a file without a name and writes the bytes of `source` to it.
  ///
  /// - Parameter path: the name used in error messages.
  /// - Throws: what reading `source` throws; `FileError` if the file cannot be created or written.
  package static func unnamed(holding source: ByteSource, path: String) throws -> File {
    try unnamed(path: path) { file in
      try source.forEachBlock { block, offset in try file.write(block, at: offset) }
    }
  }
}
