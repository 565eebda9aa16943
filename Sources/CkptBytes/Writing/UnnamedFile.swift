package import CkptPlatform

extension File {
  /// A file without a name that holds the bytes of `source`.
  ///
  /// - Parameter path: what errors call it.
  /// - Throws: what reading `source` throws; `FileError` where the file cannot be made or written.
  package static func unnamed(holding source: ByteSource, path: String) throws -> File {
    try unnamed(path: path) { file in
      let reader = try source.makeReader(at: 0)
      var block = [UInt8](repeating: 0, count: min(max(source.byteCount, 1), 256 << 10))
      for start in stride(from: 0, to: source.byteCount, by: block.count) {
        let count = min(block.count, source.byteCount - start)
        try block.withUnsafeMutableBytes { block in
          let part = UnsafeMutableRawBufferPointer(rebasing: block[..<count])
          try reader.read(into: part)
          try file.write(UnsafeRawBufferPointer(part), at: start)
        }
      }
    }
  }
}
