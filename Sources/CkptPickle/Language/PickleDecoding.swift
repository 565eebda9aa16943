internal import CkptPlatform

extension PickleGraph {
  /// The objects of a pickle that may be incomplete.
  package struct Salvage: Sendable {
    /// All objects up to the end or the first error, including unreferenced ones; the root is
    /// meaningless.
    package let graph: PickleGraph
    /// The offset at which decoding ended: after STOP, if there is no problem.
    package let end: Int
    /// The error that ended decoding before STOP; nil if there was none.
    package let problem: PickleError?
  }

  /// Decodes a pickle up to STOP or the first error, to find out which names it contains.
  package static func salvage(_ bytes: [UInt8]) -> Salvage {
    guard bytes.count <= Int(Int32.max) else {
      return Salvage(
        graph: PickleGraph(), end: 0, problem: .tooLarge(byteCount: bytes.count))
    }
    var decoder = PickleDecoder(bytes, depthLimit: defaultDepthLimit)
    return decoder.salvage()
  }

  /// The default limit of the nesting depth; Python itself fails at about 1000 levels.
  package static let defaultDepthLimit = 10_000

  /// Decodes a pickle; bytes after STOP are ignored, as in Python.
  ///
  /// - Parameters:
  ///   - bytes: the pickle, of protocol 0 to 5.
  ///   - depthLimit: the maximum nesting depth.
  ///   - objectLimit: the maximum number of objects, references, and changes; for a pickle that was
  ///     compressed, since otherwise its size limits them.
  /// - Throws: ``PickleError`` if the pickle is invalid.
  package init(
    decoding bytes: [UInt8], depthLimit: Int = defaultDepthLimit, objectLimit: Int = .max
  ) throws {
    WorkCounters.add(.pickleDecoded)
    guard bytes.count <= Int(Int32.max) else { throw PickleError.tooLarge(byteCount: bytes.count) }
    var decoder = PickleDecoder(bytes, depthLimit: depthLimit, objectLimit: objectLimit)
    self = try decoder.decode()
  }
}
