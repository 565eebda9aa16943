internal import CkptBytes
internal import CkptIO
internal import CkptPickle
internal import CkptPlatform
internal import CkptTensors
internal import CkptText
internal import CkptZip

/// Repairs zip archives of PyTorch and NumPy.
struct ArchiveRepair {
  private typealias Loss = RepairedCheckpoint.Loss

  private let repair: Repair
  private let file: File
  private let archive: SalvagedArchive
  private var problems: [String] = []

  init(_ repair: Repair, _ file: File) throws {
    self.repair = repair
    self.file = file
    archive = try SalvagedArchive(
      file, keepsUncertain: repair.options.keepsUnverified, repair.cancellation)
  }

  /// The maximum number of problems of one kind that are listed.
  private static let problemLimit = 20

  private var options: RepairOptions { repair.options }

  consuming func repaired() throws -> RepairedCheckpoint {
    let names = archive.names
    guard !names.isEmpty else {
      throw nothing("the archive has no record that can be read", canBeUnverified: false)
    }
    if !archive.search.hasDirectory {
      problems.append("the archive's directory is missing or damaged")
    }
    let gaps = archive.search.gaps
    for gap in gaps.prefix(Self.problemLimit) {
      problems.append("bytes \(gap.lowerBound) to \(gap.upperBound) belong to no record")
    }
    if gaps.count > Self.problemLimit {
      problems.append("\(gaps.count - Self.problemLimit) more ranges belong to no record")
    }
    for record in archive.search.records.lazy.filter({ $0.otherName != nil })
      .prefix(Self.problemLimit)
    {
      guard let other = record.otherName else { continue }
      problems.append(
        "a record is \(Text.quoted(record.name)) in its header and \(Text.quoted(other)) in the "
          + "directory")
    }
    if names.contains(where: { $0.hasSuffix(NumpyArchiveReader.ending) }),
      !names.contains(where: { $0.hasSuffix("/data.pkl") })
    {
      return try repairedArrays()
    }
    return try repairedObjects()
  }

  private func nothing(_ reason: String, canBeUnverified: Bool) -> RepairError {
    .nothingLeft(
      file: file.path, reason, canBeUnverified: canBeUnverified && !options.keepsUnverified)
  }

  // MARK: - PyTorch

  private consuming func repairedObjects() throws -> RepairedCheckpoint {
    let pickle = try decodedPickle()
    let graph = pickle.graph
    let keys = Set(graph.nodes.indices.compactMap { storageKey($0, graph) })
    let needed = Set(keys.map { ExactText("\(archive.folder)data/\($0)") })
    var remains: [ObjectIdentifier: Remains] = [:]
    let isBigEndian = isBigEndian(needed)
    let widths = isBigEndian ? StorageTable.swapWidths(graph) : [:]
    let storages = try StorageTable(graph, file: file.path) { named in
      var left = try self.remains(of: named, expected: needed)
      let width = named.dtype?.componentByteCount ?? widths[named.key] ?? 1
      if isBigEndian, width > 1 { left = left.swapped(width) }
      let storage = Storage(left.source, name: "\(archive.folder)data/\(named.key)")
      remains[ObjectIdentifier(storage)] = left
      return storage
    }
    let (others, lost) = try otherRecords()
    let isTorchScript = archive.names.contains("\(archive.folder)constants.pkl")
    let unused = archive.names.count {
      $0.hasPrefix("\(archive.folder)data/") && !needed.contains(ExactText($0))
    }
    if unused > 0, pickle.lacksObjects {
      problems.append(
        "\(unused) records of tensors are there, but the names of their tensors are lost")
    }
    return try GraphRepair(
      graph, storages, remains: remains, format: isTorchScript ? .torchScript : .pytorchZip,
      file: file
    ).repaired(
      options, otherRecords: others, problems: problems, lost: lost,
      lacksObjects: pickle.lacksObjects)
  }

  private func storageKey(_ index: Int, _ graph: PickleGraph) -> String? {
    guard case .persistentID(let inner) = graph.nodes[index],
      let items = graph.items(of: inner).map(Array.init), items.count > 2
    else { return nil }
    return graph.text(items[2])
  }

  /// Decodes the pickle: whole, with one byte restored, or up to where it is damaged.
  private mutating func decodedPickle() throws -> (graph: PickleGraph, lacksObjects: Bool) {
    let name = archive.folder + "data.pkl"
    let record: FoundRecord
    switch archive.record(named: name) {
    case .found(let found): record = found
    case .lost(let reason):
      throw nothing("\(reason); it has the names of the tensors", canBeUnverified: false)
    }
    var (bytes, isCertain) = try pickleBytes(record)
    do {
      let graph = try PickleGraph(decoding: bytes)
      if isCertain || record.state == .unrecorded { return (graph, false) }
    } catch let error as PickleError {
      if record.state == .unrecorded { isCertain = false }
      problems.append("data.pkl: \(error.description)")
    }
    if !isCertain {
      if case .mismatch(let recorded, _) = record.state,
        let wrong = Checksum.singleWrongByte(in: bytes, recorded: recorded)
      {
        var restored = bytes
        restored[wrong.offset] = wrong.original
        if let graph = try? PickleGraph(decoding: restored), fits(graph) {
          problems = problems.filter { !$0.hasPrefix("data.pkl") }
          problems.append(
            "data.pkl: byte \(wrong.offset) was wrong, and is restored by the checksum")
          return (graph, false)
        }
      }
      guard options.keepsUnverified else {
        throw nothing(
          "data.pkl, which has the names of the tensors, is damaged", canBeUnverified: true)
      }
      problems.append("data.pkl is damaged; names and numbers may be wrong")
      if let graph = try? PickleGraph(decoding: bytes) { return (graph, true) }
    }
    let salvage = PickleGraph.salvage(bytes)
    guard let graph = salvage.joined() else {
      throw nothing(
        "data.pkl ends or is damaged before its first complete entry", canBeUnverified: false)
    }
    problems.append("data.pkl was read up to byte \(salvage.end); what follows is lost")
    return (graph, true)
  }

  /// The bytes of the pickle, and whether they are the original's.
  private func pickleBytes(_ record: FoundRecord) throws -> (bytes: [UInt8], isCertain: Bool) {
    let isDeflated = record.method != 0
    let limit =
      isDeflated ? PyTorchZipReader.deflatedPickleLimit : PyTorchZipReader.pickleLimit
    guard max(record.byteCount, record.plainByteCount) <= limit else {
      throw nothing("data.pkl has more than \(limit) bytes", canBeUnverified: false)
    }
    if isDeflated {
      guard try archive.canInflate(record, repair.cancellation) else {
        throw nothing("data.pkl is compressed and damaged", canBeUnverified: false)
      }
    }
    let bytes = try archive.source(of: record).allBytes()
    switch record.state {
    case .intact, .cut: return (bytes, true)
    case .unrecorded: return (bytes, isDeflated)
    case .mismatch, .unknownEnd: return (bytes, false)
    }
  }

  /// Whether each storage that a graph names is a record with as many bytes.
  private func fits(_ graph: PickleGraph) -> Bool {
    let table = try? StorageTable(graph, file: file.path) { named in
      guard
        case .found(let record) = archive.record(named: "\(archive.folder)data/\(named.key)"),
        record.plainByteCount == named.byteCount || record.state == .unknownEnd
      else { throw named.bad("") }
      return Storage(bytes: [])
    }
    return table != nil
  }

  private func isBigEndian(_ needed: Set<ExactText>) -> Bool {
    guard
      case .found(let record) = archive.record(
        named: archive.folder + "byteorder", expected: needed)
    else { return false }
    // The record says "little" or "big". Its size is enough if a byte is damaged.
    return record.byteCount == 3
  }

  private func remains(
    of named: StorageTable.Named, expected: Set<ExactText>
  ) throws -> Remains {
    let size = named.byteCount
    let record: FoundRecord
    switch archive.record(named: "\(archive.folder)data/\(named.key)", expected: expected) {
    case .found(let found): record = found
    case .lost(let reason): return Remains(nil, of: size, reason: reason)
    }
    let source = archive.source(of: record)
    func known(_ reason: String, isUnverified: Bool = false, limit: Int = .max) -> Remains {
      let count = min(size, source.byteCount, limit)
      let reason =
        count > 0 && count < size ? "\(reason) \(Remains.part(count, size))" : reason
      return Remains(
        source.first(count), of: size, reason: reason,
        isUnverified: isUnverified || record.isUncertain)
    }
    func uncertain(_ reason: String) -> Remains {
      options.keepsUnverified
        ? known(reason, isUnverified: true)
        : Remains(nil, of: size, reason: reason, isUnverified: true)
    }
    if record.method != 0 {
      return try archive.canInflate(record, repair.cancellation)
        ? known("its record is shorter than the pickle says")
        : Remains(nil, of: size, reason: "its record is compressed and damaged")
    }
    switch record.state {
    case .intact, .unrecorded: return known("its record is shorter than the pickle says")
    case .mismatch: return uncertain("its record does not match its checksum")
    case .unknownEnd: return uncertain("the size and checksum of its record are lost")
    case .cut:
      let reason = "the file ends in its record"
      // A file that is not shorter than the record was not simply cut off.
      let mayHaveMore = record.byteCount > size && record.byteCount - size > 24
      if mayHaveMore { return uncertain("what follows its record is lost, with its checksum") }
      let end = try repair.dataEnd(of: file)
      return known(reason, limit: max(0, end - record.offset))
    }
  }

  /// The records beside the pickle and the storages, and those that are damaged.
  private func otherRecords() throws -> (
    kept: [(name: String, source: ByteSource)], lost: [RepairedCheckpoint.Loss]
  ) {
    var kept: [(name: String, source: ByteSource)] = []
    var lost: [RepairedCheckpoint.Loss] = []
    for name in archive.names where name.hasPrefix(archive.folder) && !name.hasSuffix("/") {
      let inner = String(name.dropFirst(archive.folder.count))
      if PyTorchZipReader.notes.contains(inner) || inner.hasPrefix("data/") { continue }
      switch archive.record(named: name) {
      case .lost(let reason): lost.append(Loss(path: inner, reason: reason))
      case .found(let record):
        if let reason = try damage(of: record) {
          lost.append(Loss(path: inner, reason: reason))
        } else {
          kept.append((inner, archive.source(of: record)))
        }
      }
    }
    return (kept, lost)
  }

  /// Why a record cannot be kept as a whole; nil if it can.
  private func damage(of record: FoundRecord) throws -> String? {
    if record.method != 0 {
      return try archive.canInflate(record, repair.cancellation)
        ? nil : "its record is compressed and damaged"
    }
    switch record.state {
    case .intact, .unrecorded: return nil
    case .mismatch: return "its record does not match its checksum"
    case .unknownEnd: return "the size and checksum of its record are lost"
    case .cut: return "the file ends in its record"
    }
  }

  // MARK: - NumPy

  private func repairedArrays() throws -> RepairedCheckpoint {
    var found = FoundTensors(options)
    for name in archive.names where name.hasSuffix(NumpyArchiveReader.ending) {
      let key = String(name.dropLast(NumpyArchiveReader.ending.count))
      switch archive.record(named: name) {
      case .lost(let reason): found.lose(key, because: reason)
      case .found(let record):
        if let reason = try damage(of: record) {
          found.lose(key, because: reason)
          continue
        }
        do {
          let tensor = try NumpyReader.tensor(
            archive.source(of: record), name: name, file: file.path, exactly: true)
          found.keep(tensor, named: key)
        } catch let error as any Diagnostic where error.kind == .badInput {
          found.lose(key, because: error.problemAlone(in: file.path))
        }
      }
    }
    try found.checkIsSomething(in: file)
    return try found.repaired(
      CheckpointDocument(found.stateDict, format: .npz, path: file.path, files: [file]), problems)
  }
}

extension Remains {
  /// The same bytes with the order reversed in each element of `width` bytes.
  fileprivate func swapped(_ width: Int) -> Remains {
    Remains(
      swapping: .computed(ByteSwapped(source, width: width)),
      known: knownByteCount / width * width, self)
  }

  private init(swapping source: ByteSource, known: Int, _ other: Remains) {
    self.source = source
    knownByteCount = known
    reason = other.reason
    isUnverified = other.isUnverified
  }
}
