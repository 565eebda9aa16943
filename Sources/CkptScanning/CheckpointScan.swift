public import CkptIO

extension Checkpoint {
  /// Lists and rates the names in the pickles of the file or folder at `path`; nothing is run.
  ///
  /// - Throws: `FileError`, `ZipError`, or `CheckpointError` if it cannot be read.
  public static func scan(contentsOf path: String) throws -> GlobalScan { try GlobalScan(path) }
}
