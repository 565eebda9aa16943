internal import CkptBytes
internal import CkptPlatform

extension Tensor {
  /// Creates a reader of the elements as numbers, in row-major order, starting at the element
  /// `start`.
  ///
  /// Strides are respected, and negative views are resolved. No memory is allocated after this
  /// call.
  ///
  /// - Throws: `TensorError.noData` for a meta tensor; `TensorError.noConversion` for types that
  ///   are not real numbers.
  package func makeElementReader(from start: Int = 0) throws -> ElementReader {
    try ElementReader(self, from: start)
  }
}

/// Reads a tensor's elements sequentially as numbers; used by one thread at a time.
package final class ElementReader {
  private let source: any ByteReader
  private let type: DType
  private let code: Int32
  private let isNegative: Bool
  private var staging: AlignedBytes

  private static let blockSize = 32 << 10

  fileprivate init(_ tensor: Tensor, from start: Int) throws {
    let type = tensor.dtype
    guard let code = type.kernelCode else {
      throw TensorError.noConversion(from: type, to: .float32)
    }
    precondition(start >= 0 && start <= tensor.elementCount)
    // Large buffers for thousands of small tensors would fragment the memory.
    staging = AlignedBytes(
      count: min(Self.blockSize, max(1, tensor.elementCount - start) * type.byteCount))
    // Integers are negated in their own type, so that they stay in its range.
    let bytes = try type.isFloat ? tensor.contiguousSource() : tensor.resolvedSource()
    source = try bytes.makeReader(at: start * type.byteCount)
    self.type = type
    self.code = code
    isNegative = tensor.isNegative && type.isFloat
  }

  /// Fills `numbers` with the next elements, rounded to nearest even if float32 cannot represent
  /// them.
  ///
  /// - Throws: what reading throws.
  package func read(into numbers: inout MutableSpan<Float>) throws {
    if type == .float32 {
      var bytes = numbers.mutableBytes
      try source.read(into: &bytes)
    } else {
      try eachBlock(of: numbers.count) { bytes, range in
        var part = numbers._mutatingExtracting(range)
        ElementKernels.load(bytes, code, to: &part)
      }
    }
    if isNegative { ElementKernels.negate(&numbers) }
  }

  /// Fills `numbers` with the next elements. Only 64-bit integers may be rounded, to nearest even.
  ///
  /// - Throws: what reading throws.
  package func read(into numbers: inout MutableSpan<Double>) throws {
    if type == .float64 {
      var bytes = numbers.mutableBytes
      try source.read(into: &bytes)
    } else {
      try eachBlock(of: numbers.count) { bytes, range in
        var part = numbers._mutatingExtracting(range)
        ElementKernels.load(bytes, code, to: &part)
      }
    }
    if isNegative { ElementKernels.negate(&numbers) }
  }

  /// Replaces all of `numbers` by the next elements. Only 64-bit integers may be rounded, to
  /// nearest even.
  ///
  /// - Throws: what reading throws.
  package func read(into numbers: inout [Double]) throws {
    try numbers.withMutableSpan { try read(into: &$0) }
  }

  /// Reads the bytes of `count` elements block by block, and calls `body` with each block and the
  /// range of its elements.
  private func eachBlock(of count: Int, _ body: (RawSpan, Range<Int>) -> Void) throws {
    let perBlock = staging.count / type.byteCount
    for start in stride(from: 0, to: count, by: perBlock) {
      let part = min(perBlock, count - start)
      try staging.withMutableBytes(first: part * type.byteCount) { bytes in
        try source.read(into: &bytes)
        body(bytes.bytes, start..<start + part)
      }
    }
  }
}
