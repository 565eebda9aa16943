internal import CkptGGUF
internal import CkptPlatform
internal import CkptStateDicts
internal import CkptBytes
internal import CkptTensors

/// Writes GGUF files, version 3: plain tensors, and quantized blocks from GGUF files unchanged.
enum GGUFWriter: FormatWriter {
  static let format = Checkpoint.Format.gguf
  static let endings = [".gguf"]

  static func keepsBlocks(of tensor: Tensor, _ options: WriteOptions) -> Bool {
    !options.dequantizes && GGUFLayout.Blocks(tensor) != nil
  }

  /// Whether a metadata key of the input is written to a GGUF file. Excluded are the note that
  /// tensors are PyTorch's, and another GGUF file's alignment.
  private static func isOwn(_ key: String) -> Bool {
    key != "format" && key != "general.alignment"
  }

  static func plan(
    _ checkpoint: Checkpoint, to path: String, _ options: WriteOptions
  ) throws -> OutputPlan {
    let alone = try checkpoint.tensorsAlone(options, as: format) {
      keepsBlocks(of: $0, options) || GGUFType($0.dtype) != nil
    }
    let entries = try alone.tensors.map { key, tensor in
      try GGUFLayout.Entry(key: key, tensor: tensor, asBlocks: !options.dequantizes)
    }
    let sources = try alone.tensors.map { _, tensor in
      let blocks = options.dequantizes ? nil : GGUFLayout.Blocks(tensor)
      return try blocks?.source ?? tensor.resolvedSource()
    }
    let native = checkpoint.document.nativeMetadata
    let layout = try GGUFLayout(
      entries, metadata: native == nil ? checkpoint.metadata.filter { isOwn($0.key) } : [],
      nativeCount: native?.count ?? 0, nativeByteCount: native?.source.byteCount ?? 0,
      alignment: native?.alignment ?? GGUFLayout.defaultAlignment)
    var segments = [StreamSegment(offset: 0, source: .bytes(layout.start))]
    if let native {
      segments.append(StreamSegment(offset: layout.start.count, source: native.source))
    }
    segments.append(
      StreamSegment(offset: layout.tensorTableOffset, source: .bytes(layout.tensorTable)))
    for (offset, source) in zip(layout.offsets, sources) where source.byteCount > 0 {
      segments.append(StreamSegment(offset: offset, source: source))
    }
    if layout.padding > 0 {
      // Readers in C expect the last tensor to be padded like the others.
      segments.append(
        StreamSegment(
          offset: layout.byteCount - layout.padding,
          source: .bytes([UInt8](repeating: 0, count: layout.padding))))
    }
    let all = segments
    return OutputPlan(
      format: format, path: path,
      file: OutputPlan.File(name: path, byteCount: layout.byteCount) { file, context in
        try context.stream.write(all, to: file)
      }, report: alone.report)
  }
}
