internal import CkptStateDicts
internal import CkptTensors

/// The contents of the objects of a state dict. Since objects may be shared, by keys and by other
/// objects, what is described is bounded.
struct ObjectContents {
  private struct Key: Hashable {
    let document: ObjectIdentifier
    let node: UInt32
  }

  private var seen: Set<Key> = []
  /// The number of bytes of all descriptions, four times for an object that had been described
  /// before, with 64 for each of its tensors.
  private var cost = 0

  private static let limit = 32 << 20

  /// The content of an object; nil if it is unknown or too large to describe.
  ///
  /// - Throws: `TensorError.sharedTooOften`.
  mutating func content(of object: OpaqueObject) throws(TensorError) -> ObjectContent? {
    guard object.canBeDescribed else { return nil }
    let content = object.content
    // What is too large took as long as the largest that is not.
    cost += content?.description.utf8.count ?? 1 << 20
    if let origin = object.origin,
      !seen.insert(Key(document: ObjectIdentifier(origin.document), node: origin.node)).inserted
    {
      cost += 3 * (content?.description.utf8.count ?? 0) + 64 * (content?.tensors.count ?? 0)
    }
    guard cost <= Self.limit else { throw .sharedTooOften }
    return content
  }
}
