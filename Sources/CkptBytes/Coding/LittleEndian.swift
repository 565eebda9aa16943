extension FixedWidthInteger {
  /// The integer with the given bytes, least significant byte first.
  ///
  /// Missing bytes count as 0; bytes beyond the type's width are ignored.
  @inlinable package init(littleEndian bytes: some Sequence<UInt8>) {
    var (value, shift) = (Self.zero, 0)
    for byte in bytes {
      guard shift < Self.bitWidth else { break }
      value |= Self(truncatingIfNeeded: byte) << Self(shift)
      shift += 8
    }
    self = value
  }

  /// The integer's bytes, least significant byte first.
  package var littleEndianBytes: [UInt8] {
    stride(from: 0, to: Self.bitWidth, by: 8).map { UInt8(truncatingIfNeeded: self >> Self($0)) }
  }
}

extension Int64 {
  /// The integer with the given two's complement bytes, at most 8, least significant byte first; 0
  /// for no bytes.
  @inlinable package init(twosComplement bytes: some Collection<UInt8>) {
    let bits = Int64(littleEndian: bytes)
    let unused = Int64(Swift.max(0, 64 - 8 * bytes.count))
    self = unused >= 64 ? 0 : (bits << unused) >> unused
  }
}

extension [UInt8] {
  /// Appends an integer, least significant byte first.
  package mutating func append(littleEndian value: some FixedWidthInteger) {
    append(contentsOf: value.littleEndianBytes)
  }
}

/// Reads little-endian integers at offsets, which may lie beyond the end.
package struct LittleEndianReader {
  private let bytes: ArraySlice<UInt8>

  /// Creates a reader of `bytes`; the first byte has offset 0.
  package init(_ bytes: some Collection<UInt8>) { self.bytes = ArraySlice(Array(bytes)) }
  /// Creates a reader of a slice; its first byte has offset 0.
  package init(_ bytes: ArraySlice<UInt8>) { self.bytes = bytes }

  /// The integer at `offset`; nil if it exceeds the end.
  package func at<T: FixedWidthInteger & UnsignedInteger>(
    _ offset: Int, as type: T.Type = T.self
  ) -> T? {
    let width = MemoryLayout<T>.size
    guard offset >= 0, offset <= bytes.count - width else { return nil }
    return T(littleEndian: bytes.dropFirst(offset).prefix(width))
  }

  /// The bytes from `offset` to the end.
  package func bytes(from offset: Int) -> ArraySlice<UInt8> { bytes.dropFirst(offset) }

  /// The unsigned 16-bit integer at `offset`; nil if it exceeds the end.
  package func int16(_ offset: Int) -> Int? { at(offset, as: UInt16.self).map(Int.init) }
  /// The unsigned 32-bit integer at `offset`; nil if it exceeds the end.
  package func int32(_ offset: Int) -> Int? { at(offset, as: UInt32.self).map(Int.init) }
  /// The unsigned 64-bit integer at `offset`; nil if it exceeds the end, or does not fit in an
  /// `Int`.
  package func int64(_ offset: Int) -> Int? {
    at(offset, as: UInt64.self).flatMap(Int.init(exactly:))
  }
}
