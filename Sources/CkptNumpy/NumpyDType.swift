package import CkptTensors

/// The dtype of a NumPy array.
package struct NumpyDType: Sendable, Hashable {
  /// The dtype in PyTorch.
  package let dtype: DType
  /// Whether the elements are big-endian.
  package let isBigEndian: Bool

  /// NumPy's names for the types that both libraries have.
  static let types: [(descr: String, type: DType)] = [
    ("f2", .float16), ("f4", .float32), ("f8", .float64), ("c8", .complex64), ("c16", .complex128),
    ("i1", .int8), ("i2", .int16), ("i4", .int32), ("i8", .int64), ("u1", .uint8), ("u2", .uint16),
    ("u4", .uint32), ("u8", .uint64), ("b1", .bool),
  ]

  /// Creates a dtype.
  package init(_ dtype: DType, isBigEndian: Bool) {
    self.dtype = dtype
    self.isBigEndian = isBigEndian
  }

  /// The dtype named by NumPy's `dtype.str`, such as `<f4`; nil if PyTorch does not have it.
  package init?(_ descr: String) {
    guard let order = descr.first, "<>|=".contains(order),
      let known = Self.types.first(where: { $0.descr == descr.dropFirst() })
    else { return nil }
    self.init(known.type, isBigEndian: order == ">" && known.type.byteCount > 1)
  }
}
