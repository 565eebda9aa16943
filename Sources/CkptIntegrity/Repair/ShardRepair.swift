internal import CkptIO
internal import CkptPlatform
internal import CkptSafetensors
internal import CkptStateDicts
internal import CkptText

/// Repairs a sharded checkpoint: what the shards that are there contain is kept.
struct ShardRepair {
  private let repair: Repair
  private var stateDict = StateDict()
  private var problems: [String] = []
  private var lost: [RepairedCheckpoint.Loss] = []
  private var filled: [RepairedCheckpoint.Loss] = []
  private var unverified: [RepairedCheckpoint.Loss] = []
  private var lacksObjects = false
  private var files: [File] = []
  private var metadata: [(key: String, value: String)] = []
  /// Whether all shards that were read are safetensors files.
  private var isSafetensors = true

  init(_ repair: Repair) { self.repair = repair }

  /// Repairs the checkpoint in a folder: that of its index, or its shards if there is no index.
  consuming func repair(_ folder: Folder) throws -> RepairedCheckpoint {
    let indices = folder.names.filter {
      $0.hasSuffix(".safetensors.index.json") || $0.hasSuffix(".bin.index.json")
    }
    if indices.count == 1 { return try repair(index: folder.open(indices[0])) }
    guard indices.isEmpty else {
      throw CheckpointError.unclearFolder(folder: folder.path, candidates: indices.sorted())
    }
    for ending in [".safetensors", ".bin"] {
      let shards = folder.names.compactMap { name in
        ShardSplit.parse(name, ending).map { (name: name, parts: $0) }
      }
      guard let first = shards.first else { continue }
      guard
        shards.allSatisfy({
          $0.parts.stem == first.parts.stem && $0.parts.count == first.parts.count
        })
      else {
        throw CheckpointError.unclearFolder(
          folder: folder.path, candidates: shards.map(\.name).sorted())
      }
      problems.append("the folder has no index")
      return try repair(folder, shards.map { ($0.parts.number, $0.name) }, first.parts, ending)
    }
    let single = folder.names.filter { $0 == "model.safetensors" || $0 == "pytorch_model.bin" }
    if single.count == 1 { return try repair.repairDamaged(folder.open(single[0])) }
    // Opening the folder tells what is wrong with it.
    _ = try Checkpoint(contentsOf: folder.path)
    throw RepairError.unsupported(file: folder.path)
  }

  /// Reads the shards of a folder without an index.
  private consuming func repair(
    _ folder: Folder, _ shards: [(number: Int, name: String)],
    _ parts: (stem: String, number: Int, count: Int), _ ending: String
  ) throws -> RepairedCheckpoint {
    let present = Set(shards.map(\.number))
    for (_, name) in shards.sorted(by: { $0.number < $1.number }) {
      guard let shard = try shard(name, in: folder) else { continue }
      for key in shard.keys { try add(shard, key, from: name) }
    }
    let missing = parts.count - present.count
    if missing > 0 {
      let names = (0..<min(parts.count, 1 << 20)).lazy.filter { !present.contains($0) }.prefix(8)
        .map { ShardSplit.fileName(parts.stem, ending, number: $0, of: parts.count) }
      problems.append(
        "\(missing) of \(parts.count) shards are missing: \(names.joined(separator: ", "))"
          + (missing > 8 ? " and \(missing - 8) more" : ""))
      lacksObjects = true
    }
    return try result(folder.path)
  }

  /// Repairs the checkpoint of an index.
  consuming func repair(index file: File) throws -> RepairedCheckpoint {
    let index: ShardIndex
    do {
      index = try ShardIndex(reading: file)
    } catch let error as SafetensorsError {
      throw RepairError.nothingLeft(
        file: file.path, "the index is damaged: \(error.problemAlone(in: file.path))",
        canBeUnverified: false)
    }
    files = [file]
    metadata = index.metadata
    let folder = try Folder(of: file)
    var shards: [String: StateDict] = [:]
    var reasons: [String: String] = [:]
    for (_, name) in index.files where shards[name] == nil && reasons[name] == nil {
      guard folder.contains(name) else {
        reasons[name] = "the shard \(name) is missing"
        problems.append("the shard \(name) is missing")
        continue
      }
      if let shard = try shard(name, in: folder) {
        shards[name] = shard
      } else {
        reasons[name] = "nothing of the shard \(name) can be read"
      }
    }
    var noted = Set(lost.map { ExactText($0.path) })
    for (key, name) in index.files {
      if let shard = shards[name], shard.value(for: key) != nil {
        try add(shard, key, from: name)
      } else if noted.insert(ExactText(key)).inserted {
        lost.append(
          .init(path: key, reason: reasons[name] ?? "it is not in the shard \(name)"))
      }
    }
    let listed = Set(index.files.map { ExactText($0.key) })
    for (name, shard) in shards.sorted(by: { $0.key < $1.key }) {
      for key in shard.keys where !listed.contains(ExactText(key)) {
        problems.append("the index does not list \(Text.quoted(key)) of the shard \(name)")
        if stateDict.value(for: key) == nil { try add(shard, key, from: name) }
      }
    }
    return try result(file.path)
  }

  /// Reads what is left of a shard; nil if nothing is.
  private mutating func shard(_ name: String, in folder: Folder) throws -> StateDict? {
    do {
      let file = try folder.open(name)
      let isArchive = try Repair.isArchive(file)
      let found =
        try repair.intact(file, isArchive: isArchive) ?? repair.repairDamaged(file)
      files += found.checkpoint.files
      problems += found.problems.map { "\(name): \($0)" }
      lost += found.lost
      filled += found.filled
      unverified += found.unverified
      lacksObjects = lacksObjects || found.lacksObjects
      metadata += found.checkpoint.metadata
      if found.checkpoint.format != .safetensors { isSafetensors = false }
      return try found.checkpoint.stateDict(at: "/")
    } catch let error as any Diagnostic where error.kind == .badInput {
      problems.append("\(name): \(error.description)")
      lacksObjects = true
      return nil
    }
  }

  private mutating func add(_ shard: StateDict, _ key: String, from name: String) throws {
    guard let value = shard.value(for: key) else { return }
    guard stateDict.value(for: key) == nil else {
      lost.append(.init(path: key, reason: "another shard than \(name) has the key, too"))
      return
    }
    stateDict.setValue(value, for: key)
  }

  private consuming func result(_ path: String) throws -> RepairedCheckpoint {
    guard !stateDict.keys.isEmpty else {
      throw RepairError.nothingLeft(
        file: path, problems.first ?? "no shard is left", canBeUnverified: false)
    }
    var seen = Set<String>()
    let document = try CheckpointDocument(
      stateDict, format: isSafetensors ? .safetensorsIndex : .pytorchIndex, path: path,
      files: files, metadata: metadata.filter { seen.insert($0.key).inserted })
    return try RepairedCheckpoint(
      Checkpoint(document: document), problems: problems, lost: lost, filled: filled,
      unverified: unverified, lacksObjects: lacksObjects)
  }
}
