internal import Crypto
internal import Foundation
internal import CkptBytes
package import CkptPlatform
internal import CkptText
internal import Synchronization
package import CkptTensors

/// SHA-256 of a tensor's dtype, shape and values, whatever its strides and storage.
///
/// The hashed bytes are: the dtype's name, a space, the decimal sizes joined by commas, and a line
/// feed; then the elements in row-major order, little-endian, with conjugate and negative views
/// resolved. For a quantized tensor, the elements are the integers, preceded by the scale and the
/// zero point as float64 or, per channel, by the axis (64-bit integer), all scales, and all zero
/// points. A meta tensor has `meta ` before the dtype and no elements.
public struct TensorDigest: Sendable, Hashable, CustomStringConvertible {
  /// The 32 bytes of the digest.
  public let bytes: [UInt8]

  /// The digest in hexadecimal digits.
  public var description: String { bytes.hexadecimal }

  /// Hashes a tensor, reading it in blocks.
  init(_ tensor: Tensor, cancellation: Cancellation, progress: (@Sendable (Int) -> Void)?) throws {
    var hash = SHA256()
    hash.update(data: Self.header(of: tensor))
    if !tensor.isMeta, tensor.elementCount > 0 {
      try tensor.resolvedSource().forEachBlock { block, _ in
        try cancellation.check()
        block.withUnsafeBytes { hash.update(bufferPointer: $0) }
        progress?(block.byteCount)
      }
    }
    bytes = Array(hash.finalize())
  }

  init(_ hash: SHA256) { bytes = Array(hash.finalize()) }

  /// The hashed bytes before the elements.
  private static func header(of tensor: Tensor) -> [UInt8] {
    let sizes = tensor.shape.map(String.init).joined(separator: ",")
    let name = (tensor.isMeta ? "meta " : "") + tensor.dtype.name
    var header = Array("\(name) \(sizes)\n".utf8)
    switch tensor.quantization {
    case .perTensor(let scale, let zeroPoint)?:
      header += scale.bitPattern.littleEndianBytes + Double(zeroPoint).bitPattern.littleEndianBytes
    case .perChannel(let axis, let scales, let zeroPoints)?,
      .perChannelFloat(let axis, let scales, let zeroPoints)?:
      header += UInt64(bitPattern: Int64(axis)).littleEndianBytes
      for number in scales + zeroPoints { header += number.bitPattern.littleEndianBytes }
    case nil: break
    }
    return header
  }

  /// The digests of tensors, in their order. Tensors are hashed in parallel; equal views once.
  ///
  /// - Parameters:
  ///   - workers: the number of threads.
  ///   - progress: called from any thread with the number of bytes hashed since the last call.
  /// - Throws: what reading throws; `CancelledError`.
  package static func all(
    of tensors: [Tensor], workers: Int, cancellation: Cancellation,
    progress: (@Sendable (Int) -> Void)?
  ) throws -> [TensorDigest] {
    let distinct = DistinctTensors(tensors)
    let work = distinct.tensors
    try RepeatedElements.check(work)
    // Largest first, so that no large tensor is left for a single thread at the end.
    let order = work.indices.sorted { (-work[$0].byteCount, $0) < (-work[$1].byteCount, $1) }
    let found = Mutex([TensorDigest?](repeating: nil, count: work.count))
    try Parallel.forEach(of: order, workers: workers) { index in
      let digest = try TensorDigest(work[index], cancellation: cancellation, progress: progress)
      found.withLock { $0[index] = digest }
    }
    let digests = found.withLock { $0 }.compactMap(\.self)
    return distinct.positions.map { digests[$0] }
  }
}
