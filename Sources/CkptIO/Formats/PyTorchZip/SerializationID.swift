internal import CkptZip

extension ZipPadding {
  /// PyTorch 2's alignment of records: `kFieldAlignment` and `FB` in
  /// caffe2/serialize/inline_container.
  static let pytorch = ZipPadding(alignment: 64, fieldID: 0x4246, fill: UInt8(ascii: "Z"))
}

/// The 40 digits in the last record of PyTorch's archives, `.data/serialization_id`.
enum SerializationID {
  static let byteCount = 40

  /// The digits for records with the given names and checksums, in order.
  ///
  /// PyTorch computes the first 20 digits with the C++ library's hash of the names, which differs
  /// between libraries; here it is FNV-1a (64 bits) of the names, each followed by a NUL.
  @Sendable static func digits(_ records: [ZipRecord.Written]) -> [UInt8] {
    var names: UInt64 = 0xCBF2_9CE4_8422_2325
    var sums: UInt64 = 0
    for record in records {
      for byte in Array(record.name.utf8) + [0] {
        names = (names ^ UInt64(byte)) &* 0x100_0000_01B3
      }
      guard record.byteCount > 0 else { continue }
      sums ^= UInt64(record.crc32) &+ 0x9E37_79B9 &+ (sums << 6) &+ (sums >> 2)
    }
    return [names, sums].flatMap { number in
      let digits = String(number)
      return Array(String(repeating: "0", count: 20 - digits.utf8.count).utf8) + Array(digits.utf8)
    }
  }
}
