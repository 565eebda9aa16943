internal import CkptPlatform
internal import CkptBytes
public import CkptTensors

extension Tensor {
  /// Whether both have the same shape, type and quantization, and bit for bit the same elements,
  /// conjugate and negative views resolved; read in blocks.
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
    var first = AlignedBytes(count: block)
    var second = AlignedBytes(count: block)
    while rest > 0 {
      let count = min(rest, block)
      let isSame = try first.withMutableBytes(first: count) { first in
        try own.read(into: &first)
        return try second.withMutableBytes(first: count) { second in
          try others.read(into: &second)
          return first.bytes.hasSameBytes(as: second.bytes)
        }
      }
      guard isSame else { return false }
      rest -= count
    }
    return true
  }
}
