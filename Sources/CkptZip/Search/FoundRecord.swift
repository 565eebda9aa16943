/// A record of an archive that was found by its local header.
package struct FoundRecord: Sendable {
  /// What is known about the record's bytes.
  package enum State: Sendable, Equatable {
    /// They match a checksum.
    case intact
    /// No checksum was recorded, or it is one of the uncompressed bytes.
    case unrecorded
    /// The file ends in the record, or before its size and checksum.
    case cut
    /// They do not match the checksum.
    case mismatch(recorded: UInt32, found: UInt32)
    /// The size and the checksum are lost; other records follow.
    case unknownEnd
  }

  /// The name in the local header, or in the directory if the header is damaged.
  package let name: String
  /// The name in the directory, if it is another one; one of the two is damaged.
  package let otherName: String?
  /// The compression method: 0 for stored, 8 for deflated.
  package let method: UInt16
  /// The file offset of the record's bytes.
  package let offset: Int
  /// The number of bytes in the archive; of a record that is cut or whose end is unknown, the
  /// number of bytes up to the end of the file or the next record.
  package let byteCount: Int
  /// The number of bytes after decompression; 0 if it is unknown.
  package let plainByteCount: Int
  /// The checksum, unless it is unknown or was not recorded.
  package let crc32: UInt32?
  /// What is known about the bytes.
  package let state: State
  /// Whether the header may be a part of another record's bytes, such as an archive in the archive:
  /// something before it is damaged, and there is no directory.
  package let isUncertain: Bool
}

/// The fields of a local header.
struct LocalHeader {
  /// The signature of a local header, a record in the directory, a data descriptor, and the two
  /// kinds of end records.
  static let signature = 0x0403_4B50
  static let directorySignature = 0x0201_4B50
  static let descriptorSignature = 0x0807_4B50
  static let endSignatures: Set = [0x0605_4B50, 0x0606_4B50]

  let name: String
  let flags: UInt16
  let method: UInt16
  let crc32: UInt32
  let compressedByteCount: Int
  let byteCount: Int
  /// The number of bytes from the header's start to the record's.
  let headerByteCount: Int

  /// Whether the sizes and the checksum follow the data.
  var hasDescriptor: Bool { flags & 8 != 0 }
}
