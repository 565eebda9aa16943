internal import CkptPlatform

extension PickleGraph {
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
