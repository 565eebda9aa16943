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
    let per = elementType.elementsPerByte
    guard offset % per == 0 else { return .computed(ShiftedBytes(self)) }
    let start = offset / per * elementType.byteCount
    return storage.source.part(start..<start + byteCount)
  }

  /// The same with conjugate and negative views resolved: the bytes that the elements are worth.
  ///
  /// - Throws: `TensorError.noData` for a meta tensor, `TensorError.noConversion`.
  package func resolvedSource() throws(TensorError) -> ByteSource {
    guard isNegative || (isConjugate && elementType.isComplex) else {
      return try contiguousSource()
    }
    return try converting(to: elementType).contiguousSource()
  }
}

extension Tensor {
  /// A complex tensor's real and imaginary parts by turns, in a last dimension of 2, as `torch.view_as_real` gives
  /// them; conjugate and negative views are resolved. A real tensor is itself.
  ///
  /// - Throws: `TensorError.noData` for a meta tensor that is a conjugate or negative view.
  package func viewAsReal() throws(TensorError) -> Tensor {
    guard elementType.isComplex else { return self }
    let parts = shape + [2]
    guard !isConjugate, !isNegative else {
      return try Tensor(
        storage: Storage(resolvedSource(), name: storage.name), elementType: elementType.realPart,
        shape: parts)
    }
    // Where nothing moves, a stride may be any number.
    let isEmpty = shape.contains(0)
    return try Tensor(
      storage: storage, elementType: elementType.realPart, shape: parts,
      strides: zip(shape, strides).map { $0 > 1 && !isEmpty ? $1 &* 2 : 0 } + [1],
      offset: isEmpty ? 0 : offset &* 2, isMeta: isMeta)
  }
}

extension ByteSource {
  /// A part of the bytes, without reading them.
  ///
  /// A region keeps the CRC that was recorded for it only as a whole.
  package func part(_ range: Range<Int>) -> ByteSource {
    precondition(range.lowerBound >= 0 && range.upperBound <= byteCount)
    guard range != 0..<byteCount else { return self }
    switch self {
    case .bytes(let bytes): return .bytes(Array(bytes[range]))
    case .region(var region):
      region.offset += range.lowerBound
      region.byteCount = range.count
      region.recordedCRC32 = nil
      return .region(region)
    case .computed(let computed): return .computed(ByteSlice(computed, range))
    }
  }

  /// Whether something must be done once before the first reader.
  var needsPreparation: Bool {
    if case .computed(let computed) = self { computed.needsPreparation } else { false }
  }

  /// Does what must be done once before the first reader.
  func prepare() throws {
    if case .computed(let computed) = self { try computed.prepare() }
  }

  /// Whether any place can be read at little cost.
  package var isRandomAccess: Bool {
    if case .computed(let computed) = self { computed.isRandomAccess } else { true }
  }
}

/// A part of computed bytes.
struct ByteSlice: ComputedBytes {
  private let whole: any ComputedBytes
  private let range: Range<Int>

  init(_ whole: any ComputedBytes, _ range: Range<Int>) {
    self.whole = whole
    self.range = range
  }

  var byteCount: Int { range.count }
  var isRandomAccess: Bool { whole.isRandomAccess }
  var needsPreparation: Bool { whole.needsPreparation }
  func prepare() throws { try whole.prepare() }

  func makeReader(at offset: Int) throws -> any ByteReader {
    if whole.isRandomAccess { return try whole.makeReader(at: range.lowerBound + offset) }
    let reader = try whole.makeReader(at: 0)
    try reader.skip(range.lowerBound + offset)
    return reader
  }
}

extension ByteReader {
  /// Reads `count` bytes and forgets them.
  func skip(_ count: Int) throws {
    var rest = count
    try withUnsafeTemporaryAllocation(byteCount: min(max(rest, 1), 64 << 10), alignment: 8) {
      while rest > 0 {
        let step = min(rest, $0.count)
        try read(into: UnsafeMutableRawBufferPointer(rebasing: $0[..<step]))
        rest -= step
      }
    }
  }
}
