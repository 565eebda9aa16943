internal import CkptIO
internal import CkptPickle
internal import CkptPlatform

extension FuzzTarget {
  /// Pickles by themselves, and as the objects of an archive with four storages.
  static let pickles: [FuzzTarget] = [
    FuzzTarget("pickle") { bytes, folder in
      let salvaged = PickleGraph.salvage(bytes)
      try Fault.unless(
        salvaged.end <= bytes.count && salvaged.end >= 0, "the end lies outside the pickle")
      let file = try File(readingFrom: folder.write(bytes, to: "x.pkl"))
      var stream = PickleStream(file, in: 0..<file.size, limit: 1 << 20)
      let streamed = try? stream.next()
      let graph: PickleGraph
      do {
        graph = try PickleGraph(decoding: bytes)
      } catch {
        try Fault.unless(streamed == nil, "a pickle is read from a file alone")
        throw error
      }
      try Fault.unless(salvaged.problem == nil, "a pickle is salvaged that is none")
      let encoded = try graph.encoded()
      do {
        _ = try PickleGraph(decoding: encoded)
      } catch {
        throw Fault(problem: "an encoded pickle cannot be decoded: \(error)")
      }
    },
    FuzzTarget("tensors") { bytes, folder in
      let path = try folder.write(StoredArchive.checkpoint(bytes), to: "x.pt")
      try CheckpointExercise.run(path)
      // Writing takes longer than reading, so that only some inputs are written.
      if bytes.count % 8 == 0 { try CheckpointExercise.rewrite(path, in: folder) }
    },
  ]
}
