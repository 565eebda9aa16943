package import CkptTensors

/// What the elements of one of numpy's arrays are.
package struct NumpyDType: Sendable, Hashable {
  /// What they are to PyTorch.
  package let dtype: DType
  /// Whether their bytes are turned round.
  package let isBigEndian: Bool

  /// numpy's letters and sizes for the types that both have.
  static let types: [(descr: String, type: DType)] = [
    ("f2", .float16), ("f4", .float32), ("f8", .float64), ("c8", .complex64), ("c16", .complex128),
    ("i1", .int8), ("i2", .int16), ("i4", .int32), ("i8", .int64), ("u1", .uint8), ("u2", .uint16),
    ("u4", .uint32), ("u8", .uint64), ("b1", .bool),
  ]

  /// A dtype of those elements.
  package init(_ dtype: DType, isBigEndian: Bool) {
    self.dtype = dtype
    self.isBigEndian = isBigEndian
  }

  /// The dtype that numpy's `dtype.str` names, such as `<f4`; nil for those that PyTorch has not.
  package init?(_ descr: String) {
    guard let order = descr.first, "<>|=".contains(order),
      let known = Self.types.first(where: { $0.descr == descr.dropFirst() })
    else { return nil }
    self.init(known.type, isBigEndian: order == ">" && known.type.byteCount > 1)
  }
}
