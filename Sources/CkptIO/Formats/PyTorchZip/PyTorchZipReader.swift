internal import CkptText
internal import CkptPickle
internal import CkptBytes
internal import CkptPlatform
internal import CkptTensors
internal import CkptZip

/// Reads zip archives written by `torch.save` and `torch.jit.save`.
package enum PyTorchZipReader: FormatReader {
  /// The maximum size of a pickle in bytes, since it is held in memory.
  package static let pickleLimit = 1 << 30
  /// The maximum size in bytes of a pickle that must be inflated.
  package static let deflatedPickleLimit = 128 << 20

  /// The limits of a pickle, which must not take far more memory than the file: the maximum numbers
  /// of bytes, and of objects and references. A stored pickle is limited by its own size.
  private static func limits(of pickle: ZipEntry) -> (bytes: Int, objects: Int) {
    guard !pickle.isStored else { return (pickleLimit, .max) }
    let compressed = min(pickle.compressedByteCount, deflatedPickleLimit)
    return (min(max(8 << 20, 16 * compressed), deflatedPickleLimit), max(1 << 20, 2 * compressed))
  }

  /// Always true: this is the last reader, which reports what is wrong with unknown files.
  package static func recognizes(_ input: CheckpointInput) -> Bool {
    if case .file = input { true } else { false }
  }

  package static func document(of input: CheckpointInput) throws -> CheckpointDocument {
    guard case .file(let file, let start) = input else { throw input.isNoFile }
    guard start.starts(with: Array("PK".utf8)) else {
      throw CheckpointError.otherFile(file: file.path, .unknown(start))
    }
    return try document(in: file)
  }

  /// Reads the archive in a file, or in a part of it, as in distributed checkpoints.
  static func document(in file: File, part: Range<Int>? = nil) throws -> CheckpointDocument {
    let archive = try ZipReader(file, in: part)
    if !archive.entries.contains(where: { $0.name.hasSuffix("/data.pkl") }),
      let other = OtherFile.zip(archive)
    {
      throw CheckpointError.otherFile(file: file.path, other)
    }
    guard let first = archive.entries.first, let slash = first.name.firstIndex(of: "/") else {
      throw CheckpointError.notACheckpoint(
        file: file.path, "an archive without a folder that holds data.pkl")
    }
    let folder = String(first.name[..<slash])
    guard let pickle = archive.entry(named: "\(folder)/data.pkl") else {
      throw ZipError.missingEntry(file: file.path, entry: "\(folder)/data.pkl")
    }
    let isBigEndian = try readNotes(archive, folder)
    let limits = limits(of: pickle)
    let bytes = try archive.read(pickle, limit: limits.bytes)
    let graph: PickleGraph
    do {
      graph = try PickleGraph(decoding: bytes, objectLimit: limits.objects)
    } catch let error as PickleError {
      throw CheckpointError.badRecord(
        file: file.path, record: pickle.name, error.description)
    }
    let widths = isBigEndian ? TensorReader.swapWidths(graph) : [:]
    let storages = try StorageTable(
      graph, archive: archive, folder: folder, isBigEndian: isBigEndian, swapWidths: widths)
    let isTorchScript = archive.entry(named: "\(folder)/constants.pkl") != nil
    return CheckpointDocument(
      graph: graph, storages: storages,
      tensors: try TensorReader(graph, storages: storages, file: file.path).tensors,
      format: isTorchScript ? .torchScript : .pytorchZip, path: file.path, files: [file],
      otherRecords: try otherRecords(archive, folder))
  }

  /// Checks the version, and returns whether the storages are big-endian.
  private static func readNotes(_ archive: ZipReader, _ folder: String) throws -> Bool {
    let file = archive.file.path
    func note(_ name: String) throws -> String? {
      guard let entry = archive.entry(named: "\(folder)/\(name)") else { return nil }
      let bytes = try archive.read(entry, limit: 4096)
      return String(decoding: bytes, as: UTF8.self).filter { !$0.isWhitespace }
    }
    if let version = try note("version") ?? note(".data/version") {
      guard let number = Int(version), (1...10).contains(number) else {
        throw CheckpointError.notACheckpoint(
          file: file, "version \(Text.quoted(version)) of the format is not supported")
      }
    }
    switch try note("byteorder") {
    case nil, "little": return false
    case "big": return true
    case let other?:
      throw CheckpointError.notACheckpoint(
        file: file, "byte order \(Text.quoted(other)) is unknown")
    }
  }

  /// The records that every checkpoint has, besides the storages; they are written anew.
  package static let notes: Set = [
    "data.pkl", ".format_version", ".storage_alignment", "byteorder", "version", ".data/version",
    ".data/serialization_id",
  ]

  private static func otherRecords(
    _ archive: ZipReader, _ folder: String
  ) throws -> [(name: String, source: ByteSource)] {
    try archive.entries.compactMap { entry in
      guard entry.name.hasPrefix(folder + "/"), !entry.name.hasSuffix("/") else { return nil }
      let name = String(entry.name.dropFirst(folder.count + 1))
      if notes.contains(name) || name.hasPrefix("data/") { return nil }
      return (name, try archive.source(of: entry))
    }
  }
}
