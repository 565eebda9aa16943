package import CkptBytes
internal import CkptPlatform

// Long strings and byte arrays can be left in the file when a pickle is decoded; the graph then
// stores their byte ranges. A pickle of NumPy arrays consists almost entirely of such data.
extension PickleGraph {
  /// The maximum number of bytes that are read from files to encode a pickle: 256 MiB.
  package static let outsideLimit = 256 << 20

  /// Whether the data of any object was left in a file.
  package var hasOutsideRuns: Bool { !outside.isEmpty }

  /// The byte range of a str (as UTF-8), bytes, or bytearray that was left in a file; nil for other
  /// objects. The graph's pool contains a placeholder for it.
  package func outside(_ ref: Ref) -> FileRegion? { run(of: ref).flatMap { outside[$0.start] } }

  /// The pool range of a str, bytes, or bytearray; nil for other objects.
  package func run(of ref: Ref) -> Bytes? {
    switch self[ref] {
    case .string(let run), .byteString(let run), .bytes(let run), .byteArray(let run): run
    default: nil
    }
  }

  /// Reads the data of an object that was left in a file into the pool; other objects are
  /// unchanged.
  ///
  /// - Throws: `FileError`; ``PickleError/malformed(what:offset:)`` for a str that is not valid
  ///   UTF-8.
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

  /// Reads the data of all objects that can be reached from the root and were left in a file.
  ///
  /// - Throws: as ``bringIn(_:)``; ``PickleError/tooMuchOutside(byteCount:limit:)``.
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
