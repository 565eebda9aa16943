internal import Crypto
internal import Foundation
internal import CkptBytes
package import CkptPlatform
package import CkptStateDicts
internal import CkptTensors

/// A digest of a state dict's content: equal for two files, whatever their formats, names, orders of records and
/// layouts of tensors, exactly if keys, dtypes, shapes and values are.
///
/// The bytes that are hashed, for each tensor, in the order of the keys' UTF-8 bytes: how many bytes the key has (64
/// bits, little-endian), the key in UTF-8, the 32 bytes of the tensor's ``TensorDigest``. What is no plain tensor
/// but made of some (a quantized tensor of torchao's, a sparse one) has a digest of its own: of `object `, its exact
/// description, a line feed, and the 32 bytes of the digest of each tensor in it.
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
  /// Keys that stand for nothing made of tensors, or for more than can be told: they have no part in the digest.
  public let leftOut: [String]

  /// Reads every tensor once, several at the same time.
  ///
  /// - Parameters:
  ///   - workers: how many threads; nil for as many as are useful.
  ///   - progress: told how many bytes were hashed since last time, from any thread.
  /// - Throws: what reading throws; `CancelledError`.
  package init(
    _ stateDict: StateDict, workers: Int? = nil, cancellation: Cancellation = Cancellation(),
    progress: (@Sendable (Int) -> Void)? = nil
  ) throws {
    // For each key its tensors, and of an object the description.
    var parts: [(key: String, description: String?, tensors: [Tensor])] = []
    var leftOut: [String] = []
    for (key, value) in stateDict {
      switch value {
      case .tensor(let tensor): parts.append((key, nil, [tensor]))
      case .object(let object):
        if !object.tensors.isEmpty || object.tensorLike != nil, let content = object.content {
          parts.append((key, content.description, content.tensors.map(\.tensor)))
        } else {
          leftOut.append(key)
        }
      }
    }
    let digests = try TensorDigest.all(
      of: parts.flatMap(\.tensors), workers: workers ?? min(Parallel.processorCount, 4),
      cancellation: cancellation, progress: progress)
    var next = 0
    entries = parts.map { key, description, tensors in
      let own = digests[next..<next + tensors.count]
      next += tensors.count
      guard let description else { return Entry(key: key, digest: own[own.startIndex]) }
      var hash = SHA256()
      hash.update(data: Array("object \(description)\n".utf8))
      for digest in own { hash.update(data: digest.bytes) }
      return Entry(key: key, digest: TensorDigest(hash))
    }
    self.leftOut = leftOut
    var hash = SHA256()
    for entry in entries.sorted(by: { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }) {
      hash.update(data: UInt64(entry.key.utf8.count).littleEndianBytes)
      hash.update(data: Array(entry.key.utf8))
      hash.update(data: entry.digest.bytes)
    }
    digest = TensorDigest(hash)
  }
}
