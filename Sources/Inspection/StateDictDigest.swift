internal import Crypto
internal import Foundation
public import Platform
public import StateDicts

/// A digest of a state dict's content: equal for two files, whatever their formats, names, orders of records and
/// layouts of tensors, exactly if keys, dtypes, shapes and values are.
///
/// The bytes that are hashed, for each tensor, in the order of the keys' UTF-8 bytes: how many bytes the key has (64
/// bits, little-endian), the key in UTF-8, the 32 bytes of the tensor's ``TensorDigest``.
public struct StateDictDigest: Sendable {
  /// One tensor.
  public struct Entry: Sendable, Hashable {
    /// Its key.
    public let key: String
    /// The digest of its dtype, shape and values.
    public let digest: TensorDigest
  }

  /// The tensors in the state dict's order.
  public let entries: [Entry]
  /// SHA-256 over all of them.
  public let digest: TensorDigest
  /// Keys that stand for no tensor: they have no part in the digest.
  public let leftOut: [String]

  /// Reads every tensor once, several at the same time.
  ///
  /// - Parameters:
  ///   - workers: how many threads; nil for as many as are useful.
  ///   - progress: told how many bytes were hashed since last time, from any thread.
  /// - Throws: what reading throws; `CancelledError`.
  public init(
    _ stateDict: StateDict, workers: Int? = nil, cancellation: Cancellation = Cancellation(),
    progress: (@Sendable (Int) -> Void)? = nil
  ) throws {
    let tensors = stateDict.tensors
    let digests = try TensorDigest.all(
      of: tensors.map(\.tensor), workers: workers ?? min(Parallel.processorCount, 4),
      cancellation: cancellation, progress: progress)
    entries = zip(tensors, digests).map { Entry(key: $0.key, digest: $1) }
    leftOut = stateDict.values.compactMap { $0.value.tensor == nil ? $0.key : nil }
    var hash = SHA256()
    for entry in entries.sorted(by: { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }) {
      hash.update(data: UInt64(entry.key.utf8.count).littleEndianBytes)
      hash.update(data: Array(entry.key.utf8))
      hash.update(data: entry.digest.bytes)
    }
    digest = TensorDigest(hash)
  }
}
