internal import CkptBytes
internal import CkptGGUF
internal import CkptIO
internal import CkptPlatform
internal import CkptSafetensors
internal import CkptStateDicts
internal import CkptTensors
internal import CkptText

// Formats with a header that places the tensors' data behind it.

extension Repair {
  private static let endsBefore = "the file ends before its last byte"

  /// Repairs a safetensors file, whose header must be complete.
  func repairSafetensors(_ file: File) throws -> RepairedCheckpoint {
    let header: SafetensorsHeader
    do {
      header = try SafetensorsHeader(reading: file, allowsOtherSize: true)
    } catch let error as SafetensorsError {
      throw RepairError.nothingLeft(
        file: file.path, error.problemAlone(in: file.path), canBeUnverified: false)
    }
    var found = FoundTensors(options)
    let needed = header.entries.map(\.range.upperBound).max() ?? 0
    let size = file.size - header.dataOffset
    let end = size < needed ? try dataEnd(of: file) - header.dataOffset : size
    for entry in header.entries {
      let known = max(0, min(end, entry.range.upperBound) - entry.range.lowerBound)
      let region = FileRegion(
        file: file, offset: known > 0 ? header.dataOffset + entry.range.lowerBound : 0,
        byteCount: known, name: entry.key)
      let left = Remains(
        known > 0 ? .region(region) : nil, of: entry.range.count,
        reason: known > 0
          ? Self.endsBefore + " " + Remains.part(known, entry.range.count) : Self.endsBefore)
      try found.add(entry.tensor(of: left.source, file: file.path), named: entry.key, left)
    }
    var problems: [String] = []
    if size < needed { problems.append("the file has \(size) of \(needed) bytes of data") }
    if size > needed {
      problems.append("\(size - needed) bytes follow the data and belong to no tensor")
    }
    try found.checkIsSomething(in: file)
    let metadata = header.metadata ?? []
    let keys = Set(header.entries.map { ExactText($0.key) })
    let tied = metadata.filter { !keys.contains(ExactText($0.key)) }
    var stateDict = found.stateDict
    let ties = RecordedTies.restore(in: &stateDict, from: tied)
    for (name, kept) in tied
    where stateDict[name] == nil && keys.contains(ExactText(kept)) && stateDict[kept] == nil {
      found.lose(name, because: "it is tied to \(kept), which is lost")
    }
    let document = try CheckpointDocument(
      stateDict, format: .safetensors, path: file.path, files: [file], metadata: metadata,
      recordedTies: ties)
    return try found.repaired(document, problems)
  }

  /// Repairs a GGUF file, whose header must be complete.
  func repairGGUF(_ file: File) throws -> RepairedCheckpoint {
    let read: GGUFFile
    do {
      read = try GGUFFile(file, allowsMissingData: true)
    } catch let error as GGUFError {
      throw RepairError.nothingLeft(
        file: file.path, error.problemAlone(in: file.path), canBeUnverified: false)
    }
    var found = FoundTensors(options)
    let needed = read.tensors.map { $0.region.offset + $0.region.byteCount }.max() ?? 0
    let end = file.size < needed ? try dataEnd(of: file) : file.size
    var kept: [GGUFFile.Entry] = []
    for var entry in read.tensors {
      let left = Remains(entry.region, upTo: end, reason: Self.endsBefore)
      entry.replacement = left.source
      let loss = RepairedCheckpoint.Loss(
        path: entry.name, dtype: entry.type.dtype?.name ?? entry.type.name, shape: entry.shape,
        reason: left.reason)
      if found.keeps(left, of: entry.region.byteCount, loss) { kept.append(entry) }
    }
    var problems: [String] = []
    if file.size < needed { problems.append("the file has \(file.size) of \(needed) bytes") }
    guard !kept.isEmpty || read.tensors.isEmpty else { throw found.nothing(in: file) }
    return try found.repaired(GGUFReader.document(of: read, holding: kept), problems)
  }
}

/// The tensors of a state dict of which all, some, or no bytes are left.
struct FoundTensors {
  private let options: RepairOptions
  private(set) var stateDict = StateDict()
  private var lost: [RepairedCheckpoint.Loss] = []
  private var filled: [RepairedCheckpoint.Loss] = []

  init(_ options: RepairOptions) { self.options = options }

  /// Adds a tensor, unless it is incomplete and the options leave it out.
  mutating func add(_ tensor: Tensor, named key: String, _ left: Remains) throws {
    let loss = RepairedCheckpoint.Loss(
      path: key, dtype: tensor.dtype.name, shape: tensor.shape, reason: left.reason)
    if keeps(left, of: tensor.storage.byteCount, loss) { stateDict[key] = tensor }
  }

  /// Whether a tensor is kept; notes the loss if it is incomplete.
  mutating func keeps(
    _ left: Remains, of byteCount: Int, _ loss: RepairedCheckpoint.Loss
  ) -> Bool {
    if left.knownByteCount == byteCount { return true }
    if options.partial == .zeros {
      filled.append(loss)
      return true
    }
    lost.append(loss)
    return false
  }

  /// Adds a complete tensor.
  mutating func keep(_ tensor: Tensor, named key: String) { stateDict[key] = tensor }

  /// Notes the loss of an entry.
  mutating func lose(_ key: String, because reason: String) {
    lost.append(RepairedCheckpoint.Loss(path: key, reason: reason))
  }

  /// Checks that a tensor is left, if there was any.
  ///
  /// - Throws: `RepairError.nothingLeft`.
  func checkIsSomething(in file: File) throws {
    if stateDict.keys.isEmpty, !lost.isEmpty { throw nothing(in: file) }
  }

  /// The error if no tensor is left.
  func nothing(in file: File) -> RepairError {
    .nothingLeft(
      file: file.path, lost.first?.reason ?? "no tensor is left", canBeUnverified: false)
  }

  /// The result.
  func repaired(
    _ document: CheckpointDocument, _ problems: [String]
  ) throws -> RepairedCheckpoint {
    try RepairedCheckpoint(
      Checkpoint(document: document), problems: problems, lost: lost, filled: filled)
  }
}
