/// Reads little-endian integers from bytes that may be too short.
struct LittleEndianReader {
  let bytes: ArraySlice<UInt8>

  init(_ bytes: some Collection<UInt8>) { self.bytes = ArraySlice(Array(bytes)) }
  init(_ bytes: ArraySlice<UInt8>) { self.bytes = bytes }

  /// The integer at `offset` from the front; nil beyond the end.
  func at<T: FixedWidthInteger & UnsignedInteger>(_ offset: Int, as type: T.Type = T.self) -> T? {
    let width = MemoryLayout<T>.size
    guard offset >= 0, offset <= bytes.count - width else { return nil }
    var value: T = 0
    for place in (0..<width).reversed() {
      value = value << 8 | T(bytes[bytes.startIndex + offset + place])
    }
    return value
  }

  /// The bytes from `offset` from the front to the end.
  func bytes(from offset: Int) -> ArraySlice<UInt8> { bytes.dropFirst(offset) }

  /// The 16-bit integer at `offset`, as an `Int`.
  func int16(_ offset: Int) -> Int? { at(offset, as: UInt16.self).map(Int.init) }
  /// The 32-bit integer at `offset`, as an `Int`.
  func int32(_ offset: Int) -> Int? { at(offset, as: UInt32.self).map(Int.init) }
  /// The 64-bit integer at `offset`, if an `Int` can hold it.
  func int64(_ offset: Int) -> Int? { at(offset, as: UInt64.self).flatMap(Int.init(exactly:)) }
}

extension [UInt8] {
  /// Appends an integer, least significant byte first.
  mutating func append<T: FixedWidthInteger>(littleEndian value: T) {
    for shift in stride(from: 0, to: T.bitWidth, by: 8) {
      append(UInt8(truncatingIfNeeded: value >> T(shift)))
    }
  }
}
