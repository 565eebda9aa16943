internal import CkptBytes
internal import CkptPlatform

/// A zip archive of stored records, built quickly.
enum StoredArchive {
  /// The archive that `torch.save` would write for a pickle and the storages `0` to `3` of 64 bytes.
  static func checkpoint(_ pickle: [UInt8]) -> [UInt8] {
    let storage = (0..<64).map { UInt8($0) }
    return archive(
      [("x/data.pkl", pickle), ("x/version", Array("3\n".utf8))]
        + (0..<4).map { ("x/data/\($0)", storage) })
  }

  /// An archive with these records.
  static func archive(_ records: [(name: String, content: [UInt8])]) -> [UInt8] {
    var bytes: [UInt8] = []
    var directory: [UInt8] = []
    for (name, content) in records {
      let offset = UInt32(bytes.count)
      var fields: [UInt8] = []
      for number: UInt16 in [20, 0, 0, 0, 0] { append(number, to: &fields) }
      append(Checksum.crc32(content), to: &fields)
      append(UInt32(content.count), to: &fields)
      append(UInt32(content.count), to: &fields)
      append(UInt16(name.utf8.count), to: &fields)
      append(UInt16(0), to: &fields)
      bytes += [0x50, 0x4B, 3, 4] + fields + Array(name.utf8) + content
      directory += [0x50, 0x4B, 1, 2, 20, 0] + fields + [UInt8](repeating: 0, count: 10)
      append(offset, to: &directory)
      directory += Array(name.utf8)
    }
    let start = UInt32(bytes.count)
    bytes += directory
    bytes += [0x50, 0x4B, 5, 6, 0, 0, 0, 0]
    append(UInt16(records.count), to: &bytes)
    append(UInt16(records.count), to: &bytes)
    append(UInt32(directory.count), to: &bytes)
    append(start, to: &bytes)
    return bytes + [0, 0]
  }

  private static func append(_ number: some FixedWidthInteger, to bytes: inout [UInt8]) {
    withUnsafeBytes(of: number.littleEndian) { bytes += $0 }
  }
}
