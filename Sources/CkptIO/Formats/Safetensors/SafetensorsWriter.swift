internal import CkptPlatform
internal import CkptSafetensors
internal import CkptBytes
internal import CkptTensors

/// Writes one safetensors file, byte for byte as the reference implementation.
enum SafetensorsWriter: FormatWriter {
  static let format = Checkpoint.Format.safetensors
  static let endings = [".safetensors"]

  static func plan(
    _ checkpoint: Checkpoint, to path: String, _ options: WriteOptions
  ) throws -> OutputPlan {
    let alone = try checkpoint.tensorsAlone(options, as: format) {
      SafetensorsType($0.dtype) != nil
    }
    let file = try file(
      named: path, alone.tensors, metadata: metadata(of: checkpoint, alone))
    return OutputPlan(format: format, path: path, file: file, report: alone.report)
  }

  /// What a file says of itself: what the checkpoint's own said; if that was no safetensors file, also, as transformers
  /// wants it, that the tensors are PyTorch's.
  ///
  /// The names of tensors that were left out are there, too, each with the one that stands for it, as safetensors'
  /// `save_model` records them; those that the checkpoint's own file recorded in their places, if they still hold.
  static func metadata(
    of checkpoint: Checkpoint, _ alone: TensorsAlone
  ) -> [(key: String, value: String)] {
    let ties = Dictionary(alone.report.tied.map { ($0.key, $0.kept) }) { first, _ in first }
    let recorded = checkpoint.document.recordedTies
    var result: [(key: String, value: String)] =
      switch checkpoint.format {
      case .safetensors, .safetensorsIndex:
        checkpoint.document.metadata.filter {
          !recorded.contains($0.key) || ties[$0.key] == $0.value
        }
      default: [("format", "pt")] + checkpoint.metadata.filter { $0.key != "format" }
      }
    let known = Set(result.map(\.key))
    result += alone.report.tied.filter { !known.contains($0.key) }.map { ($0.key, $0.kept) }
    return result
  }

  /// A file of those tensors.
  static func file(
    named name: String, _ tensors: [(key: String, tensor: Tensor)],
    metadata: [(key: String, value: String)]
  ) throws -> OutputPlan.File {
    let sources = try tensors.map { try $0.tensor.resolvedSource() }
    let items = try zip(tensors, sources).map { entry, source in
      guard let type = SafetensorsType(entry.tensor.dtype) else {
        throw SafetensorsError.unwritable(
          "safetensors has no dtype like \(entry.tensor.dtype.name) (key \"\(entry.key)\")",
          hint: nil)
      }
      var shape = entry.tensor.shape
      if type == .float4 {
        guard let last = shape.last,
          case (let count, false) = last.multipliedReportingOverflow(by: 2)
        else {
          throw SafetensorsError.unwritable(
            "a 4-bit tensor needs a dimension (key \"\(entry.key)\")", hint: nil)
        }
        shape[shape.count - 1] = count
      }
      return SafetensorsLayout.Item(
        key: entry.key, type: type, shape: shape, byteCount: source.byteCount)
    }
    let layout = try SafetensorsLayout(items, metadata: metadata)
    let segments =
      [StreamSegment(offset: 0, source: .bytes(layout.header))]
      + layout.slots.map { StreamSegment(offset: $0.offset, source: sources[$0.item]) }
    let keys = Dictionary(tensors.map { ($0.tensor.storage.name, $0.key) }) { first, _ in first }
    return OutputPlan.File(
      name: name, byteCount: layout.byteCount, beginning: { layout.header }
    ) { file, context in
      do {
        try context.stream.write(segments, to: file)
      } catch let error as ChecksumError where error.key == nil {
        throw error.naming(keys[error.record])
      }
    }
  }
}
