internal import CkptPlatform
package import CkptGGUF
internal import CkptBytes
internal import CkptStateDicts
internal import CkptTensors

/// Reads GGUF files. Plain tensors are unchanged; quantized ones are dequantized when they are
/// read.
package enum GGUFReader: FormatReader {
  package static func recognizes(_ input: CheckpointInput) throws -> Bool {
    guard case .file(let file, _) = input else { return false }
    return try GGUFFile.recognizes(file)
  }

  package static func document(of input: CheckpointInput) throws -> CheckpointDocument {
    guard case .file(let file, _) = input else { throw input.isNoFile }
    let read = try GGUFFile(file)
    return try document(of: read, holding: read.tensors)
  }

  /// The document of a file with some of its tensors.
  ///
  /// - Throws: `GGUFError` for an invalid tensor.
  package static func document(
    of read: GGUFFile, holding tensors: [GGUFFile.Entry]
  ) throws -> CheckpointDocument {
    let file = read.file
    var stateDict = StateDict()
    for entry in tensors { stateDict[entry.name] = try tensor(entry, file: file.path) }
    return try CheckpointDocument(
      stateDict, format: .gguf, path: file.path, files: [file],
      metadata: read.metadata.compactMap { key, value in text(value).map { (key, $0) } },
      nativeMetadata: NativeMetadata(
        count: read.metadata.count, alignment: read.alignment,
        source: .region(read.metadataRegion),
        arrays: read.metadata.compactMap { key, value in text(value) == nil ? key : nil }))
  }

  private static func tensor(_ entry: GGUFFile.Entry, file: String) throws -> Tensor {
    do {
      return try entry.plainTensor() ?? entry.dequantizedTensor() ?? entry.rawTensor()
    } catch let error as TensorError {
      throw GGUFError.badTensor(file: file, tensor: entry.name, error.description)
    }
  }

  /// A number or string of the metadata as text; nil for arrays, which are not kept in memory.
  private static func text(_ value: GGUFFile.Value) -> String? {
    switch value {
    case .unsigned(let number): "\(number)"
    case .signed(let number): "\(number)"
    case .float(let number): "\(number)"
    case .bool(let flag): flag ? "true" : "false"
    case .text(let text): text
    case .array: nil
    }
  }
}

/// The metadata of a file in its own encoding, for a writer of the same format.
package struct NativeMetadata: Sendable {
  let count: Int
  let alignment: Int
  let source: ByteSource
  /// The keys of arrays, which other formats cannot represent.
  let arrays: [String]
}
