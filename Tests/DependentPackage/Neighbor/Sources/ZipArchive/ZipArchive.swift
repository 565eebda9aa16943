public import Platform

/// An archive that is not the toolkit's.
public struct ZipReader: Sendable {
  /// The file that is read.
  public let file: File

  /// An archive in `file`.
  public init(_ file: File) { self.file = file }
}
