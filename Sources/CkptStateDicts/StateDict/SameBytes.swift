internal import CkptBytes
public import CkptTensors

extension Tensor {
  /// Whether both have the same shape, type and quantization, and bit for bit the same elements, conjugate and negative views
  /// resolved; read in blocks.
  ///
  /// - Throws: `TensorError.noData` for a meta tensor; what reading throws.
  public func hasSameBytes(as other: Tensor) throws -> Bool {
    guard view.hasSameMeaning(as: other.view) else { return false }
    if !isMeta, view == other.view { return true }
    let (left, right) = (try resolvedSource(), try other.resolvedSource())
    for source in [left, right] { try source.prepare() }
    let (own, others) = (try left.makeReader(at: 0), try right.makeReader(at: 0))
    var rest = left.byteCount
    guard rest == right.byteCount else { return false }
    let block = min(rest, 256 << 10)
    return try withUnsafeTemporaryAllocation(byteCount: max(block * 2, 1), alignment: 16) { space in
      while rest > 0 {
        let count = min(rest, block)
        let first = UnsafeMutableRawBufferPointer(rebasing: space[..<count])
        let second = UnsafeMutableRawBufferPointer(rebasing: space[block..<block + count])
        try own.read(into: first)
        try others.read(into: second)
        guard first.elementsEqual(second) else { return false }
        rest -= count
      }
      return true
    }
  }
}
