internal import CkptBytes
internal import CkptIO
internal import CkptInspection
internal import CkptPlatform
internal import CkptTensors
internal import CkptText

/// The checkpoints among the files of a model, each in a file or a folder of its own.
enum CheckpointPlaces {
  /// What may be a checkpoint: the folders of distributed checkpoints, and the files that are not
  /// in one. The folder of the model itself is `.`.
  static func all(in files: [String]) -> [String] {
    var (folders, names) = (Set<ExactText>(), [String]())
    for file in files where file.split(separator: "/").last?.isExactly(".metadata") == true {
      let folder = parent(of: file)
      if folders.insert(ExactText(folder)).inserted { names.append(folder) }
    }
    return names + files.filter { !folders.contains(ExactText(parent(of: $0))) }
  }

  private static func parent(of file: String) -> String {
    let parts = file.split(separator: "/").dropLast()
    return parts.isEmpty ? "." : parts.joined(separator: "/")
  }

  /// The digests of the tensors of a checkpoint by their paths; nil if it is none, or an index
  /// whose shards are checkpoints of their own.
  ///
  /// - Throws: what opening and reading throw.
  static func digests(
    of name: String, in root: String, cancellation: Cancellation,
    progress: (@Sendable (Int) -> Void)?
  ) throws -> [ExactText: String]? {
    let input = try CheckpointInput(name == "." ? root : root + "/" + name)
    switch input {
    case .folder:
      guard try DistributedLayout.isRecognized(input) else { return nil }
    case .file(_, let start):
      // The last reader accepts all unknown files.
      let isKnown = try FormatRegistry.readers.dropLast().contains { try $0.recognizes(input) }
      guard isKnown || start.starts(with: Array("PK".utf8)) else { return nil }
    }
    let checkpoint: Checkpoint
    do {
      checkpoint = try Checkpoint(input)
    } catch let error as CheckpointError where error.otherFile != nil {
      return nil
    }
    guard ![.safetensorsIndex, .pytorchIndex].contains(checkpoint.format) else { return nil }
    let tensors = checkpoint.tensorsByPath()
    let digests = try TensorDigest.all(
      of: tensors.map(\.tensor), workers: min(Parallel.processorCount, 4),
      cancellation: cancellation, progress: progress)
    return Dictionary(
      zip(tensors.map { ExactText($0.path) }, digests.map(\.description)),
      uniquingKeysWith: { first, _ in first })
  }

  /// Whether a file is left with the digest of its bytes alone, rather than refused: it is of a
  /// form that is not read, or damaged where there are no checksums.
  static func isUnreadable(_ error: any Diagnostic) -> Bool {
    error.kind == .badInput && !(error is ChecksumError)
  }
}
