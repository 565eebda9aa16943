package import CkptBytes

extension Tensor {
  /// The elements' bytes in row-major order, little-endian, whatever the strides. They are read
  /// lazily.
  ///
  /// For a contiguous tensor, this is a part of its storage's source, so that bytes in a file
  /// remain a region of that file; for any other, elements are gathered block by block. The bits
  /// are those in the storage: conjugate and negative views are not resolved.
  ///
  /// - Throws: `TensorError.noData` for a meta tensor, `TensorError.expandedTooFar`.
  package func contiguousSource() throws(TensorError) -> ByteSource {
    guard !isMeta else { throw .noData }
    guard elementCount > 0 else { return .bytes([]) }
    guard RepeatedElements.mayRead(byteCount, from: storage.byteCount) else {
      throw .expandedTooFar(byteCount: byteCount, storage: storage.byteCount)
    }
    guard isContiguous else { return .computed(GatheredBytes(self)) }
    let per = dtype.elementsPerByte
    guard offset % per == 0 else { return .computed(ShiftedBytes(self)) }
    let start = offset / per * dtype.byteCount
    return storage.source.part(start..<start + byteCount)
  }

  /// The elements' bytes with conjugate and negative views resolved.
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
  /// The real and imaginary parts of a complex tensor in an additional last dimension of size 2, as
  /// in `torch.view_as_real`, with conjugate and negative views resolved. A real tensor is returned
  /// unchanged.
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
    // Without elements, the strides may be arbitrary.
    let isEmpty = shape.contains(0)
    return try Tensor(
      storage: storage, dtype: dtype.realPart, shape: parts,
      strides: zip(shape, strides).map { $0 > 1 && !isEmpty ? $1 &* 2 : 0 } + [1],
      offset: isEmpty ? 0 : offset &* 2, isMeta: isMeta)
  }
}
