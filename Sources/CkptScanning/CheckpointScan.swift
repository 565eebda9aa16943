public import CkptIO

extension Checkpoint {
  /// Finds out what loading the file or folder at `path` could do; nothing is run.
  ///
  /// - Throws: as ``ScanReport/init(_:)``.
  public static func scan(contentsOf path: String) throws -> ScanReport { try ScanReport(path) }
}
