/// The place that an error is about; what is unknown or does not apply is nil.
public struct ErrorContext: Sendable, Hashable {
  /// The path of the file or folder, as it was given.
  public var file: String?
  /// The name of the record in its archive.
  public var record: String?
  /// The path of the object in the object graph, such as `optimizer/state/0`.
  public var object: String?
  /// The keys of the state dict, in their order.
  public var keys: [String]
  /// The offset in bytes from the start of the file, or of the pickle if the file is nil.
  public var offset: Int?
  /// The line of a text file, counted from 1.
  public var line: Int?

  /// Creates a context from what is known.
  public init(
    file: String? = nil, record: String? = nil, object: String? = nil, keys: [String] = [],
    offset: Int? = nil, line: Int? = nil
  ) {
    self.file = file
    self.record = record
    self.object = object
    self.keys = keys
    self.offset = offset
    self.line = line
  }
}

/// A failed system call's error number (`errno`).
public struct SystemError: Error, Hashable, CustomStringConvertible {
  /// The error number, such as `ENOSPC`.
  public let code: Int32
  /// The system's text for the number.
  public let description: String
}
