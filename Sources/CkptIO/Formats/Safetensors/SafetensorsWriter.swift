internal import CkptPlatform
internal import CkptSafetensors
internal import CkptBytes
internal import CkptTensors
internal import CkptText

/// Writes a single safetensors file, byte for byte like the reference implementation.
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

  /// The metadata of a file: that of the checkpoint, and, if its format is not safetensors, the
  /// note that the tensors are PyTorch's, which transformers requires.
  ///
  /// It includes the names of omitted tied tensors, each with the key of the stored tensor, as
  /// safetensors' `save_model` records them. Names recorded in the checkpoint's own file keep their
  /// positions, if they are still valid.
  static func metadata(
    of checkpoint: Checkpoint, _ alone: TensorsAlone
  ) -> [(key: String, value: String)] {
    let ties = ExactDictionary(alone.report.tied.map { ($0.key, $0.kept) })
    let recorded = checkpoint.document.recordedTies
    var result: [(key: String, value: String)] =
      switch checkpoint.format {
      case .safetensors, .safetensorsIndex:
        checkpoint.document.metadata.filter {
          !recorded.contains($0.key) || ties[$0.key]?.isExactly($0.value) == true
        }
      default: [("format", "pt")] + checkpoint.metadata.filter { $0.key != "format" }
      }
    let known = ExactSet(result.map(\.key))
    result += alone.report.tied.filter { !known.contains($0.key) }.map { ($0.key, $0.kept) }
    return result
  }

  /// The file of the given tensors.
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
    let keys = ExactDictionary(tensors.map { ($0.tensor.storage.name, $0.key) })
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
