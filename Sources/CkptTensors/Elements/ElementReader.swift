internal import CCkptKernels
internal import CkptBytes

extension Tensor {
  /// Starts to read the elements as numbers, in row-major order from the element `start` on.
  ///
  /// Strides are followed, and negative views resolved; nothing is allocated after this.
  /// - Throws: `TensorError.noData` for a meta tensor, `TensorError.noConversion` for types that are not real
  ///   numbers.
  package func makeElementReader(from start: Int = 0) throws -> ElementReader {
    try ElementReader(self, from: start)
  }
}

/// Goes through a tensor's elements as numbers; used by one thread at a time.
package final class ElementReader {
  private let source: any ByteReader
  private let type: DType
  private let code: Int32
  private let isNegative: Bool
  private let staging = AlignedBytes(count: blockSize)

  private static let blockSize = 32 << 10

  fileprivate init(_ tensor: Tensor, from start: Int) throws {
    let type = tensor.dtype
    guard let code = type.kernelCode else {
      throw TensorError.noConversion(from: type, to: .float32)
    }
    precondition(start >= 0 && start <= tensor.elementCount)
    // Integers are negated as such, so that they stay in their type's range.
    let bytes = try type.isFloat ? tensor.contiguousSource() : tensor.resolvedSource()
    source = try bytes.makeReader(at: start * type.byteCount)
    self.type = type
    self.code = code
    isNegative = tensor.isNegative && type.isFloat
  }

  /// Fills `buffer` with the next elements: exact, or rounded to nearest even where 32 bits are too few.
  ///
  /// - Throws: what reading throws.
  package func read(into buffer: UnsafeMutableBufferPointer<Float>) throws {
    guard let target = buffer.baseAddress else { return }
    if type == .float32 {
      try source.read(into: UnsafeMutableRawBufferPointer(buffer))
    } else {
      try eachBlock(of: buffer.count) { ck_load_float32(code, $0, target + $1, $2) }
    }
    if isNegative { ck_negate_float32(target, buffer.count) }
  }

  /// Fills `buffer` with the next elements: exact, but for 64-bit integers, which are rounded to nearest even.
  ///
  /// - Throws: what reading throws.
  package func read(into buffer: UnsafeMutableBufferPointer<Double>) throws {
    guard let target = buffer.baseAddress else { return }
    if type == .float64 {
      try source.read(into: UnsafeMutableRawBufferPointer(buffer))
    } else {
      try eachBlock(of: buffer.count) { ck_load_float64(code, $0, target + $1, $2) }
    }
    if isNegative { ck_negate_float64(target, buffer.count) }
  }

  /// Reads the bytes of `count` elements, block by block, and passes each block with its position and count on.
  private func eachBlock(
    of count: Int, _ body: (UnsafeRawPointer, _ position: Int, _ count: Int) -> Void
  ) throws {
    guard let base = staging.bytes.baseAddress else { return }
    let perBlock = Self.blockSize / type.byteCount
    for start in stride(from: 0, to: count, by: perBlock) {
      let part = min(perBlock, count - start)
      try source.read(
        into: UnsafeMutableRawBufferPointer(start: base, count: part * type.byteCount))
      body(UnsafeRawPointer(base), start, part)
    }
  }
}
