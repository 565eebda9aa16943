internal import CkptBytes
package import CkptPlatform
package import CkptStateDicts
public import CkptTensors

/// Statistics of every tensor of a state dict.
public struct StateDictStatistics: Sendable {
  /// The statistics of one tensor.
  public struct Entry: Sendable {
    /// The tensor's key.
    public let key: String
    /// The tensor.
    public let tensor: Tensor
    /// The statistics of its elements; nil for a meta tensor and for types whose elements are no
    /// numbers.
    public let statistics: TensorStatistics?
  }

  /// The tensors in the state dict's order. Tensors inside a tensor subclass have the subclass's
  /// key, a `/`, and the path inside it.
  public let entries: [Entry]

  /// Reads every tensor once, on several threads; the result does not depend on their number.
  ///
  /// - Parameters:
  ///   - withHistograms: whether histograms are computed, too.
  ///   - workers: the number of threads; nil chooses it.
  ///   - progress: called from any thread with the number of bytes read since the last call.
  /// - Throws: what reading throws; `CancelledError`.
  package init(
    _ stateDict: StateDict, withHistograms: Bool = false, workers: Int? = nil,
    cancellation: Cancellation = Cancellation(), progress: (@Sendable (Int) -> Void)? = nil
  ) throws {
    let all = try stateDict.withInnerTensors().map { (key: $0.key, tensor: $0.tensor) }
    let readable = all.filter { NumberReader.canRead($0.tensor) }
    let distinct = DistinctTensors(readable.map(\.tensor))
    // Each element is read once, however often dimensions of stride 0 repeat it.
    let once = distinct.tensors.map { $0.withoutRepeats(along: $0.repeatedDimensions) }
    let tensors = once.map(\.tensor)
    try RepeatedElements.check(tensors)
    var work = BlockWork()
    work.cancellation = cancellation
    if let workers { work.workers = workers }
    let items = try tensors.map { try BlockWork.Item($0) }
    let found = try work.run(
      items, empty: TensorStatistics(withHistogram: withHistograms), join: { $0.add($1) },
      finish: \.finished
    ) { item, ranges -> [TensorStatistics] in
      let reader = try NumberReader(tensors[item], from: ranges.first?.lowerBound ?? 0)
      var buffer = AlignedBuffer<Double>(count: NumberReader.blockSize)
      var results: [TensorStatistics] = []
      for range in ranges {
        var found = TensorStatistics(withHistogram: withHistograms)
        for start in stride(from: range.lowerBound, to: range.upperBound, by: buffer.count) {
          try buffer.withMutableSpan(first: min(buffer.count, range.upperBound - start)) { block in
            try reader.read(into: &block)
            found.add(&block)
          }
        }
        progress?(range.count * tensors[item].dtype.byteCount * once[item].times)
        results.append(found)
      }
      return results
    }
    let results = zip(found, once).map { $0.repeated($1.times) }
    var next = 0
    entries = all.map { key, tensor in
      guard next < readable.count, NumberReader.canRead(tensor) else {
        return Entry(key: key, tensor: tensor, statistics: nil)
      }
      defer { next += 1 }
      return Entry(key: key, tensor: tensor, statistics: results[distinct.positions[next]])
    }
  }
}

extension StateDict {
  /// The plain tensors, and those inside tensor subclasses, whose key is the subclass's, a `/`, and
  /// the path inside it.
  ///
  /// - Throws: `TensorError.sharedTooOften`.
  func withInnerTensors() throws -> [(key: String, tensor: Tensor)] {
    var contents = ObjectContents()
    return try elements.flatMap { key, value -> [(key: String, tensor: Tensor)] in
      switch value {
      case .tensor(let tensor): [(key, tensor)]
      case .object(let object):
        object.tensors.isEmpty
          ? []
          : (try contents.content(of: object)?.tensors ?? []).map {
            ($0.name == "/" ? key : "\(key)/\($0.name)", $0.tensor)
          }
      }
    }
  }
}

extension BlockWork.Item {
  /// Creates a work item for the elements of a tensor.
  init(_ tensor: Tensor) throws {
    // What is gathered is read in boxes, which should not be filled for a part of them.
    self.init(
      count: tensor.elementCount, isRandomAccess: try tensor.contiguousSource().isRandomAccess,
      grain: tensor.isContiguous ? 1 : 32)
  }
}
