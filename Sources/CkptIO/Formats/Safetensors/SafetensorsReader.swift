internal import CkptPlatform
internal import CkptSafetensors
internal import CkptStateDicts

/// Reads a safetensors file as a dict of its tensors.
enum SafetensorsReader: FormatReader {
  static func recognizes(_ input: CheckpointInput) -> Bool {
    guard case .file(let file, let start) = input else { return false }
    return SafetensorsHeader.isLikely(start, fileSize: file.size)
  }

  static func document(of input: CheckpointInput) throws -> CheckpointDocument {
    guard case .file(let file, _) = input else {
      throw FileError(.cannotOpen, "is a folder, not a file", path: input.path)
    }
    let header = try SafetensorsHeader(reading: file)
    var stateDict = StateDict()
    for (key, tensor) in try header.tensors(in: file) { stateDict[key] = tensor }
    let metadata = header.metadata ?? []
    let ties = RecordedTies.restore(in: &stateDict, from: metadata)
    return try CheckpointDocument(
      stateDict, format: .safetensors, path: file.path, files: [file], metadata: metadata,
      recordedTies: ties)
  }
}
