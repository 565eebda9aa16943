package import CkptBytes
package import CkptPickle
package import CkptPlatform
internal import CkptTensors
internal import CkptText

/// What can be read of a damaged file whose storages follow its pickles.
package struct SalvagedPickles {
  /// The objects.
  package let graph: PickleGraph
  /// The storages by the number of their persistent ID. Their regions have the size that the
  /// objects state, and may exceed the file.
  package let regions: [UInt32: FileRegion]
  /// What is wrong with the file, with its place.
  package let problems: [String]
  /// The numbers of objects whose storage or tensor is not described in what is left.
  package var unresolved: [UInt32] = []
  /// Whether some objects are missing because the pickle ends early or fails.
  package let lacksObjects: Bool

  /// The maximum number of bytes of a damaged pickle that are decoded.
  static let damagedPickleLimit = 256 << 20

  /// Decodes the pickle of the objects; if it is cut off, what was decoded up to there.
  ///
  /// - Parameters:
  ///   - unverified: whether a pickle that fails before the end of the file is used up to there.
  /// - Returns: the graph, and the error of a damaged pickle.
  /// - Throws: `CheckpointError` if nothing of it is left.
  static func objects(
    _ stream: inout LegacyStream, unverified: Bool
  ) throws -> (graph: PickleGraph, problem: String?) {
    let start = stream.pickles.offset
    do {
      return (try stream.next("the object"), nil)
    } catch let error as CheckpointError {
      let count = min(stream.pickles.end - start, damagedPickleLimit)
      let salvage = PickleGraph.salvage(try stream.file.bytes(at: start, count: count))
      var isCut = false
      switch salvage.problem {
      case .endsEarly, .lengthTooLarge: isCut = true
      default: break
      }
      guard isCut || unverified, let graph = salvage.joined() else { throw error }
      return (graph, error.description)
    }
  }
}

extension LegacyReader {
  /// Reads what is left of a damaged file of this format.
  ///
  /// - Parameter unverified: whether a pickle that fails before the end of the file is used up to
  ///   there, and storages whose size contradicts the objects.
  /// - Throws: `CheckpointError` if no object is left; `FileError`.
  package static func salvage(_ file: File, unverified: Bool) throws -> SalvagedPickles {
    var stream = LegacyStream(file, in: 0..<file.size)
    try readNotes(&stream)
    var (graph, problem) = try SalvagedPickles.objects(&stream, unverified: unverified)
    var problems = [problem].compactMap(\.self)
    var ids = LegacyStorageIDs()
    try ids.find(in: &graph, stream: stream)
    var end = file.size
    if problem == nil {
      do {
        try place(&ids, try stream.next("the list of storages"), &stream)
        end = stream.pickles.offset
      } catch let error as CheckpointError {
        problems.append(error.description)
      }
    }
    if end < file.size { problems.append("\(file.size - end) bytes follow the last storage") }
    for (key, root) in ids.roots where root.source == nil {
      // A region at the end of the file, of which nothing is there.
      ids.roots[key]?.source = .region(
        FileRegion(
          file: file, offset: file.size, byteCount: root.byteCount, name: "storage \(key)"))
    }
    let storages = try ids.resolve(in: graph, stream: stream)
    return SalvagedPickles(
      graph: graph, regions: storages.compactMapValues(\.source.fileRegion), problems: problems,
      lacksObjects: problem != nil)
  }

  /// Places the storages one after the other, with the sizes that the objects state.
  private static func place(
    _ ids: inout LegacyStorageIDs, _ keys: PickleGraph, _ stream: inout LegacyStream
  ) throws {
    guard let list = keys.sequence(keys.root) else {
      throw stream.bad("the list of storages is none")
    }
    let file = stream.file
    for item in list {
      guard let key = keys.text(item) ?? keys.decimal(item), let root = ids.roots[key],
        root.source == nil
      else { throw stream.bad("the list of storages does not match the objects") }
      guard stream.pickles.end - stream.pickles.offset >= 8 else {
        throw stream.bad("the file ends early")
      }
      let count = Int(try stream.integer(byteCount: 8))
      let (byteCount, overflow) = count.multipliedReportingOverflow(by: root.width)
      guard !overflow, byteCount == root.byteCount else {
        throw stream.bad("storage \(key) has another size than the objects state")
      }
      let offset = stream.pickles.offset
      ids.roots[key]?.source = .region(
        FileRegion(file: file, offset: offset, byteCount: byteCount, name: "storage \(key)"))
      guard byteCount <= stream.pickles.end - offset else {
        throw stream.bad("storage \(key) is cut off")
      }
      stream.skip(byteCount)
    }
  }
}

extension ByteSource {
  /// The region of a source in a file; nil for other sources.
  package var fileRegion: FileRegion? {
    if case .region(let region) = self { region } else { nil }
  }
}
