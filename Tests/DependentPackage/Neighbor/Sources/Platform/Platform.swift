/// A type of the same name as one of the toolkit's.
public struct File: Sendable {
  /// Where it lies.
  public let path: String

  /// The file at `path`.
  public init(path: String) { self.path = path }
}
