public import CkptPlatform

/// A record's bytes do not match the checksum that was recorded for them.
public struct ChecksumError: Diagnostic, Equatable {
  /// The path of the file.
  public let file: String
  /// The record's name in its archive.
  public let record: String
  /// The key of a tensor that is stored in the record; nil if it is unknown.
  public let key: String?
  /// The CRC-32 that the archive recorded.
  public let recorded: UInt32
  /// The CRC-32 of the bytes in the file.
  public let found: UInt32

  /// Creates an error about a record in `file`.
  public init(file: String, record: String, key: String? = nil, recorded: UInt32, found: UInt32) {
    self.file = file
    self.record = record
    self.key = key
    self.recorded = recorded
    self.found = found
  }

  /// The same error with the key of an affected tensor.
  public func naming(_ key: String?) -> ChecksumError {
    ChecksumError(file: file, record: record, key: key, recorded: recorded, found: found)
  }

  /// The category of the error, from which `ckpt` takes its exit status.
  public var kind: DiagnosticKind { .badInput }

  /// The place of the error.
  public var context: ErrorContext {
    ErrorContext(file: file, record: record, keys: key.map { [$0] } ?? [])
  }

  /// One line that says what is wrong and where.
  public var description: String {
    let position = key.map { ", key \"\($0)\"" } ?? ""
    return "the record is damaged: its CRC-32 is \(Self.hex(found)), not \(Self.hex(recorded)) "
      + "(\(file), record \"\(record)\"\(position))"
  }

  /// What the caller can do about the error.
  public var remedies: [Remedy] {
    [
      "fetch the file again; \"ckpt\" does not carry damage on", "\(.repair) saves the rest",
    ]
  }

  private static func hex(_ value: UInt32) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 8 - digits.count) + digits
  }
}
