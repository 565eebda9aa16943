package import CkptBytes

extension Tensor {
  /// A tensor of more bytes, that are over 1024 times those of its storage, is not gone through.
  static let expandedLimit = 4 << 30

  /// The elements' bytes in row-major order, little-endian, whatever the strides; nothing is read yet.
  ///
  /// A contiguous tensor gives a part of its storage's source, so that bytes in a file stay a region of it;
  /// any other gives bytes that are gathered block by block. The bits are those in the storage: a conjugate or
  /// negative view is not resolved.
  /// - Throws: `TensorError.noData` for a meta tensor, `TensorError.expandedTooFar`.
  package func contiguousSource() throws(TensorError) -> ByteSource {
    guard !isMeta else { throw .noData }
    guard elementCount > 0 else { return .bytes([]) }
    guard byteCount <= Self.expandedLimit || byteCount / 1024 <= storage.byteCount else {
      throw .expandedTooFar(byteCount: byteCount, storage: storage.byteCount)
    }
    guard isContiguous else { return .computed(GatheredBytes(self)) }
    let per = dtype.elementsPerByte
    guard offset % per == 0 else { return .computed(ShiftedBytes(self)) }
    let start = offset / per * dtype.byteCount
    return storage.source.part(start..<start + byteCount)
  }

  /// The same with conjugate and negative views resolved: the bytes that the elements are worth.
  ///
  /// - Throws: `TensorError.noData` for a meta tensor, `TensorError.noConversion`.
  package func resolvedSource() throws(TensorError) -> ByteSource {
    guard isNegative || (isConjugate && dtype.isComplex) else {
      return try contiguousSource()
    }
    return try converting(to: dtype).contiguousSource()
  }
}

extension Tensor {
  /// A complex tensor's real and imaginary parts by turns, in a last dimension of 2, as `torch.view_as_real` gives
  /// them; conjugate and negative views are resolved. A real tensor is itself.
  ///
  /// - Throws: `TensorError.noData` for a meta tensor that is a conjugate or negative view.
  package func viewAsReal() throws(TensorError) -> Tensor {
    guard dtype.isComplex else { return self }
    let parts = shape + [2]
    guard !isConjugate, !isNegative else {
      return try Tensor(
        storage: Storage(resolvedSource(), name: storage.name), dtype: dtype.realPart,
        shape: parts)
    }
    // Where nothing moves, a stride may be any number.
    let isEmpty = shape.contains(0)
    return try Tensor(
      storage: storage, dtype: dtype.realPart, shape: parts,
      strides: zip(shape, strides).map { $0 > 1 && !isEmpty ? $1 &* 2 : 0 } + [1],
      offset: isEmpty ? 0 : offset &* 2, isMeta: isMeta)
  }
}
