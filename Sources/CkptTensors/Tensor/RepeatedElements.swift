extension Tensor {
  /// The dimensions along which every element is repeated, because their stride is 0.
  ///
  /// A quantized tensor with a scale for each channel does not repeat along that dimension.
  package var repeatedDimensions: [Int] {
    guard !isMeta, !shape.contains(0) else { return [] }
    return shape.indices.filter { dimension in
      guard shape[dimension] > 1, strides[dimension] == 0 else { return false }
      switch quantization {
      case .perChannel(let axis, _, _)?, .perChannelFloat(let axis, _, _)?:
        return axis != dimension
      case .perTensor?, nil: return true
      }
    }
  }

  /// The tensor with one index of each of these dimensions, and how often each of its elements
  /// occurs in this tensor.
  ///
  /// - Parameter dimensions: some of ``repeatedDimensions``.
  package func withoutRepeats(along dimensions: [Int]) -> (tensor: Tensor, times: Int) {
    guard !dimensions.isEmpty else { return (self, 1) }
    var (sizes, times) = (shape, 1)
    for dimension in dimensions {
      times *= sizes[dimension]
      sizes[dimension] = 1
    }
    guard
      var result = try? Tensor(
        storage: storage, dtype: dtype, shape: sizes, strides: strides, offset: offset)
    else { return (self, 1) }
    result.isConjugate = isConjugate
    result.isNegative = isNegative
    result.quantization = quantization
    return (result, times)
  }
}

/// Bounds the work on tensors that show the same elements of their storages again and again.
package enum RepeatedElements {
  /// How many times the bytes of their storages tensors may have.
  private static let factor = 256
  /// The number of bytes of storages that is assumed of smaller ones.
  private static let leastByteCount = 1 << 20

  /// Whether a tensor of so many bytes may be read from a storage.
  static func mayRead(_ byteCount: Int, from storage: Int) -> Bool {
    byteCount / factor <= max(storage, leastByteCount)
  }

  /// Checks that tensors, which are all read, do not have far more bytes than their storages.
  ///
  /// - Parameter tensors: the tensors; those with equal views are read once, and must occur once.
  /// - Throws: `TensorError.expandedTooFar`.
  package static func check(_ tensors: some Sequence<Tensor>) throws(TensorError) {
    var (shown, stored) = (0, 0)
    var seen = Set<ObjectIdentifier>()
    for tensor in tensors where !tensor.isMeta {
      let (sum, overflow) = shown.addingReportingOverflow(tensor.byteCount)
      shown = overflow ? .max : sum
      if seen.insert(ObjectIdentifier(tensor.storage)).inserted {
        let (sum, overflow) = stored.addingReportingOverflow(tensor.storage.byteCount)
        stored = overflow ? .max : sum
      }
    }
    guard mayRead(shown, from: stored) else {
      throw .expandedTooFar(byteCount: shown, storage: stored)
    }
  }
}
