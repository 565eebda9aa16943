internal import CkptText
internal import CkptBytes
internal import CkptPlatform
internal import CkptPickle
internal import CkptStateDicts
internal import CkptTensors

/// What happens to tensors that share elements in a format that does not support sharing.
public enum TiePolicy: String, Sendable, CaseIterable {
  /// Of tensors that are the same view of one storage, only the first is written; the names of the
  /// others are recorded if the format supports it. Views that overlap only partially are written
  /// as copies.
  case keepFirst = "keep-first"
  /// Each tensor is written with its own elements.
  case copy
  /// Tensors that share elements are an error.
  case error
}

/// A checkpoint's state dict for a format that contains only tensors: ordered, without shared
/// elements, and with a report of what is lost.
struct TensorsAlone {
  /// The tensors to be written.
  var tensors: [(key: String, tensor: Tensor)] = []
  /// The report of what is lost or changed.
  var report = OutputReport()
}

/// The parts of a checkpoint that an output leaves out or changes.
public struct OutputReport: Sendable {
  /// The paths and descriptions of objects that the format cannot represent.
  public var dropped: [(path: String, what: String)] = []
  /// Keys that are not written because their tensor is the same as another one, with that one's
  /// key.
  public var tied: [(key: String, kept: String)] = []
  /// Keys whose tensors shared elements with others and are written as copies.
  public var copied: [String] = []
  /// Keys of ``Checkpoint/metadata`` that the format cannot store.
  public var lostMetadata: [String] = []

  /// An empty report.
  public init() {}
}

extension Checkpoint {
  /// The keys of the metadata that a format cannot store: GGUF's arrays in all other formats, and
  /// everything in formats other than GGUF and safetensors, except the note that the tensors are
  /// PyTorch's.
  func lostMetadata(in format: Format) -> [String] {
    let arrays = document.nativeMetadata?.arrays ?? []
    switch format {
    case .gguf: return []
    case .safetensors, .safetensorsIndex: return arrays
    default: return metadata.map(\.key).filter { $0 != "format" } + arrays
    }
  }

  /// Finds the tensors for a format that contains only tensors.
  ///
  /// - Parameter holds: whether the format supports a tensor's dtype.
  /// - Throws: `CheckpointError.wouldDrop` if there are other objects, unless `options` allow it;
  ///   `.tied` if shared elements are an error; `.cannotWrite` for a tensor that the format does
  ///   not support.
  func tensorsAlone(
    _ options: WriteOptions, as format: Format, holds: (Tensor) -> Bool
  ) throws -> TensorsAlone {
    let at = try options.at ?? stateDictPath()
    let stateDict = try stateDict(at: at)
    var result = TensorsAlone()
    result.report.dropped = try objects(beside: at)
    for (key, value) in stateDict {
      switch value {
      case .object(let object):
        let steps = ObjectPath(at).steps + [key]
        result.report.dropped.append((ObjectPath(steps: steps).written, object.summary))
      case .tensor(let tensor):
        guard holds(tensor), tensor.quantization == nil, !tensor.isMeta else {
          throw CheckpointError.cannotWrite(
            file: path,
            "\(format.rawValue) cannot hold the \(Self.kind(of: tensor)) \(Text.quoted(key))",
            hint: tensor.isMeta || tensor.quantization != nil
              ? "\(.excludeInEdit) leaves it out"
              : "\(.excludeInEdit) leaves it out; \(.convert(to: nil)) converts it")
        }
        result.tensors.append((key, tensor))
      }
    }
    guard options.dropsObjects || result.report.dropped.isEmpty else {
      throw CheckpointError.wouldDrop(
        file: path, format: format, objects: result.report.dropped.map { "\($0.path): \($0.what)" })
    }
    try untie(&result, options.ties)
    try RepeatedElements.check(result.tensors.map(\.tensor))
    return result
  }

  private static func kind(of tensor: Tensor) -> String {
    if tensor.isMeta { return "meta tensor" }
    return (tensor.quantization == nil ? "" : "quantized ") + tensor.dtype.name + " tensor"
  }

  /// The objects that are neither in the state dict nor contain it.
  private func objects(beside at: String) throws -> [(path: String, what: String)] {
    var found: [(path: String, what: String)] = []
    if isModule(try resolve(at)) {
      found.append((at, "the module's code and its attributes that are no tensors"))
    }
    var ref = graph.root
    var done: [String] = []
    for step in ObjectPath(at).steps {
      guard let next = graph.child(step, of: ref) else { break }
      for (other, child) in graph.children(of: ref) where child != next {
        found.append((ObjectPath(steps: done + [other]).written, summary(of: child)))
      }
      done.append(step)
      ref = next
    }
    return found
  }

  /// Finds tensors that share elements, and applies the policy.
  private func untie(_ result: inout TensorsAlone, _ policy: TiePolicy) throws {
    guard policy != .copy else { return }
    // Usually no storage is used by two tensors, so nothing needs to be compared.
    var (seen, shared) = (Set<ObjectIdentifier>(), Set<ObjectIdentifier>())
    for (_, tensor) in result.tensors
    where !seen.insert(ObjectIdentifier(tensor.storage)).inserted {
      shared.insert(ObjectIdentifier(tensor.storage))
    }
    guard !shared.isEmpty else { return }
    var first: [TensorView: String] = [:]
    var spans: [ObjectIdentifier: [(start: Int, end: Int, key: String)]] = [:]
    var kept: [(key: String, tensor: Tensor)] = []
    for (key, tensor) in result.tensors {
      let storage = ObjectIdentifier(tensor.storage)
      guard tensor.elementCount > 0, shared.contains(storage) else {
        kept.append((key, tensor))
        continue
      }
      let view = tensor.view
      if let known = first[view] {
        result.report.tied.append((key, known))
        continue
      }
      first[view] = key
      kept.append((key, tensor))
      let reach = zip(tensor.shape, tensor.strides).reduce(1) { $0 + ($1.0 - 1) * $1.1 }
      let width = tensor.dtype.byteCount
      spans[storage, default: []].append(
        (tensor.offset * width, (tensor.offset + reach) * width, key))
    }
    var overlapping = ExactSet()
    for group in spans.values where group.count > 1 {
      var (end, last) = (Int.min, "")
      for span in group.sorted(by: { ($0.start, $0.end) < ($1.start, $1.end) }) {
        if span.start < end { overlapping.formUnion([span.key, last]) }
        if span.end > end { (end, last) = (span.end, span.key) }
      }
    }
    result.report.copied = kept.map(\.key).filter(overlapping.contains)
    if policy == .error, !result.report.tied.isEmpty || !overlapping.isEmpty {
      throw CheckpointError.tied(
        file: path,
        keys: result.report.tied.map { "\($0.key) = \($0.kept)" } + result.report.copied)
    }
    result.tensors = kept
  }
}
