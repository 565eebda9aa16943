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
    /// The objects that no other object has taken yet, the innermost last.
    var stack: [Ref] = []
    /// The indices in the stack at which unfinished items begin, ascending.
    var marks: [Int] = []
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
}
