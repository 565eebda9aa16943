internal import CkptNumpy
internal import CkptPlatform
internal import CkptStateDicts
internal import CkptBytes
internal import CkptTensors
internal import CkptZip

/// Writes an `.npy` file of a single tensor.
enum NumpyWriter: FormatWriter {
  static let format = Checkpoint.Format.npy
  static let endings = [".npy"]

  static func plan(
    _ checkpoint: Checkpoint, to path: String, _ options: WriteOptions
  ) throws -> OutputPlan {
    let (arrays, report) = try arrays(of: checkpoint, options, as: format)
    guard arrays.count == 1, let array = arrays.first else {
      throw CheckpointError.cannotWrite(
        file: checkpoint.path,
        "an .npy file holds one array, and there are \(arrays.count) tensors",
        hint: "an .npz file holds several")
    }
    let segments = [
      StreamSegment(offset: 0, source: .bytes(array.header)),
      StreamSegment(offset: array.header.count, source: array.elements),
    ]
    return OutputPlan(
      format: format, path: path,
      file: OutputPlan.File(
        name: path, byteCount: array.header.count + array.elements.byteCount
      ) { file, context in
        try context.stream.write(segments, to: file)
      }, report: report)
  }

  /// A tensor in NumPy's form.
  struct Array {
    let key: String
    let header: [UInt8]
    let elements: ByteSource
  }

  static func arrays(
    of checkpoint: Checkpoint, _ options: WriteOptions, as format: Checkpoint.Format
  ) throws -> (arrays: [Array], report: OutputReport) {
    let alone = try checkpoint.tensorsAlone(options, as: format) {
      NumpyHeader.canHold($0.dtype)
    }
    let arrays = try alone.tensors.map { key, tensor in
      let header = NumpyHeader(dtype: tensor.dtype, shape: tensor.shape)
      return Array(
        key: key, header: try header.bytes(key: key), elements: try tensor.resolvedSource())
    }
    return (arrays, alone.report)
  }
}

/// Writes an `.npz` file: an uncompressed zip archive with one array per tensor.
enum NumpyArchiveWriter: FormatWriter {
  static let format = Checkpoint.Format.npz
  static let endings = [".npz"]

  static func plan(
    _ checkpoint: Checkpoint, to path: String, _ options: WriteOptions
  ) throws -> OutputPlan {
    let (arrays, report) = try NumpyWriter.arrays(of: checkpoint, options, as: format)
    guard !arrays.isEmpty else {
      throw CheckpointError.cannotWrite(
        file: checkpoint.path, "an .npz file without arrays is none", hint: nil)
    }
    let records = try arrays.map { array in
      let parts = array.key.split(separator: "/", omittingEmptySubsequences: false)
      guard !array.key.isEmpty, parts.first != "", !parts.contains(".."), !array.key.contains("\\"),
        !array.key.utf8.contains(0)
      else {
        throw NumpyError.cannotWrite(
          key: array.key, "the key cannot be the name of a file in an archive",
          hint: "rename-keys gives it another one")
      }
      // The archive's checksum includes the header and the elements, so the record is one source.
      let whole = JoinedBytes([.bytes(array.header), array.elements])
      guard let whole else { throw TensorError.tooLarge }
      return ZipRecord(
        name: array.key + NumpyArchiveReader.ending, content: .source(.computed(whole)),
        key: array.key)
    }
    let archive = try ZipPlan(records, padding: .pytorch)
    return OutputPlan(
      format: format, path: path,
      file: OutputPlan.File(name: path, byteCount: archive.byteCount) { file, context in
        try ZipWriter(context.stream).write(archive, to: file)
      }, report: report)
  }
}
