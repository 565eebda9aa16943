package import CkptPlatform

extension File {
  /// A file without a name that holds the bytes of `source`.
  ///
  /// - Parameter path: what errors call it.
  /// - Throws: what reading `source` throws; `FileError` where the file cannot be made or written.
  package static func unnamed(holding source: ByteSource, path: String) throws -> File {
    try unnamed(path: path) { file in
      try source.forEachBlock { block, offset in try file.write(block, at: offset) }
    }
  }
}
