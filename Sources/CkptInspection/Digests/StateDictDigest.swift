internal import Crypto
internal import Foundation
internal import CkptBytes
package import CkptPlatform
package import CkptStateDicts
internal import CkptTensors

/// A digest of a state dict's content. Two digests are equal exactly if keys, dtypes, shapes, and
/// values are equal, whatever the formats, file names, order of records, and tensor layouts.
///
/// The hashed bytes are, for each tensor in the order of the keys' UTF-8 bytes: the number of bytes
/// of the key (64 bits, little-endian), the key in UTF-8, and the 32 bytes of the tensor's
/// ``TensorDigest``. An object made of tensors (such as torchao's quantized tensors, or a sparse
/// tensor) has a digest of `object `, its exact description, a line feed, and the 32-byte digest of
/// each tensor inside.
public struct StateDictDigest: Sendable {
  /// The digest of one tensor or object.
  public struct Entry: Sendable, Hashable {
    /// The key.
    public let key: String
    /// The digest of the dtype, shape, and values.
    public let digest: TensorDigest
  }

  /// The digests in the state dict's order.
  public let entries: [Entry]
  /// The SHA-256 of all entries.
  public let digest: TensorDigest
  /// Keys that are not part of the digest, because their values contain no tensors or are too large
  /// to describe.
  public let leftOut: [String]

  /// Hashes every tensor, several at the same time.
  ///
  /// - Parameters:
  ///   - workers: the number of threads; nil chooses it.
  ///   - progress: called from any thread with the number of bytes hashed since the last call.
  /// - Throws: what reading throws; `CancelledError`.
  package init(
    _ stateDict: StateDict, workers: Int? = nil, cancellation: Cancellation = Cancellation(),
    progress: (@Sendable (Int) -> Void)? = nil
  ) throws {
    // For each key, its tensors, and for an object its description.
    var parts: [(key: String, description: String?, tensors: [Tensor])] = []
    var leftOut: [String] = []
    var contents = ObjectContents()
    for (key, value) in stateDict {
      switch value {
      case .tensor(let tensor): parts.append((key, nil, [tensor]))
      case .object(let object):
        if !object.tensors.isEmpty || object.tensorLike != nil,
          let content = try contents.content(of: object)
        {
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
