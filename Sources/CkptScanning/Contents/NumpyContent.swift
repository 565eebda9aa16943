internal import CkptBytes
internal import CkptNumpy

/// NumPy's `.npy` format: a header, and the elements, which are a pickle if they are objects.
enum NumpyContent {
  /// Whether `start` begins an array of numbers, which cannot hold anything else.
  static func isPlainArray(_ start: [UInt8]) -> Bool {
    guard let offset = dataOffset(start), offset <= start.count else { return false }
    return (try? NumpyHeader(Array(start[..<offset]), file: "")) != nil
  }

  /// The offset of the elements, whatever the header says; nil if it is no header.
  static func dataOffset(_ start: [UInt8]) -> Int? {
    guard start.count >= 12, start.starts(with: NumpyHeader.magic) else { return nil }
    return start[6] == 1
      ? 10 + Int(UInt16(littleEndian: start[8..<10]))
      : 12 + Int(UInt32(littleEndian: start[8..<12]))
  }
}
