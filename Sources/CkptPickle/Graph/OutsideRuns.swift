package import CkptBytes
internal import CkptPlatform

// Runs of bytes that a graph does not hold but knows where to find: a pickle of arrays is nearly all such runs.
extension PickleGraph {
  /// How many bytes are brought in for a pickle that is to be written.
  package static let outsideLimit = 256 << 20

  /// Whether any run was left in a file.
  package var hasOutsideRuns: Bool { !outside.isEmpty }

  /// Where the bytes of a str, bytes or bytearray lie that were left in a file (of a str its UTF-8); nil for all
  /// others. In the graph's own pool something else stands for them.
  package func outside(_ ref: Ref) -> FileRegion? { run(of: ref).flatMap { outside[$0.start] } }

  /// The run of bytes that an object is; nil if it is none.
  package func run(of ref: Ref) -> Bytes? {
    switch self[ref] {
    case .string(let run), .byteString(let run), .bytes(let run), .byteArray(let run): run
    default: nil
    }
  }

  /// Reads a run that was left in a file, so that the object is as any other.
  ///
  /// - Throws: `FileError`; ``PickleError/malformed(what:offset:)`` for a str that is none.
  package mutating func bringIn(_ ref: Ref) throws {
    guard let region = outside(ref) else { return }
    let bytes = try region.file.bytes(at: region.offset, count: region.byteCount)
    let node = self[ref]
    if case .string = node, !PickleText.isPythonUTF8(bytes[...]) {
      throw PickleError.malformed(what: "a str that is no UTF-8", offset: region.offset)
    }
    let run = intern(bytes)
    switch node {
    case .string: replace(ref, with: .string(run))
    case .byteString: replace(ref, with: .byteString(run))
    case .bytes: replace(ref, with: .bytes(run))
    case .byteArray: replace(ref, with: .byteArray(run))
    default: break
    }
  }

  /// Reads all runs that the root leads to.
  mutating func bringInAll() throws {
    guard hasOutsideRuns else { return }
    var found: [Ref] = []
    var total = 0
    try walk(from: root) { ref in
      if let region = outside(ref) {
        found.append(ref)
        total += region.byteCount
      }
      return true
    }
    guard total <= Self.outsideLimit else {
      throw PickleError.tooMuchOutside(byteCount: total, limit: Self.outsideLimit)
    }
    for ref in found { try bringIn(ref) }
  }
}
