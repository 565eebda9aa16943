internal import CkptPickle
package import CkptPlatform
internal import CkptBytes
internal import CkptTensors
internal import CkptZip

/// Writes archives like `torch.save`: zip archives of uncompressed, aligned records.
enum PyTorchZipWriter: FormatWriter {
  static let format = Checkpoint.Format.pytorchZip
  static let endings = [".pt", ".pth", ".bin", ".ckpt", ".tar", ".pkl", ".model"]

  static func plan(
    _ checkpoint: Checkpoint, to path: String, _ options: WriteOptions
  ) throws -> OutputPlan {
    guard checkpoint.document.format != .torchScript || checkpoint.isExtract else {
      throw CheckpointError.cannotWrite(
        file: checkpoint.path, "a TorchScript archive cannot be written",
        hint: "\(.extract) writes the state dict alone")
    }
    return OutputPlan(format: format, path: path, file: try file(checkpoint, named: path))
  }

  /// The archive of a whole checkpoint; its top folder is named after the file.
  static func file(_ checkpoint: Checkpoint, named path: String) throws -> OutputPlan.File {
    let records = try checkpoint.records(folder: Checkpoint.folder(for: path))
    let archive = try ZipPlan(records, padding: .pytorch)
    return OutputPlan.File(
      name: path, byteCount: archive.byteCount, beginning: { archive.beginning }
    ) { file, context in
      do {
        try ZipWriter(context.stream).write(archive, to: file)
      } catch let error as ChecksumError where error.key == nil {
        throw error.naming(checkpoint.keyOfStorage(named: error.record))
      }
    }
  }
}

extension Checkpoint {
  /// Makes the object at `at` the root, and drops all other objects.
  ///
  /// - Throws: `CheckpointError` if there is no object at the path.
  public mutating func extract(at: String) throws {
    graph.root = try resolve(at)
    isExtract = true
  }

  /// The archive's top folder: the file's name without its last ending, or `archive` if it is not
  /// ASCII.
  static func folder(for path: String) -> String {
    let name = path.split(separator: "/").last ?? ""
    let stem = name.lastIndex(of: ".").map { name[..<$0] } ?? name
    let isPlain = stem.utf8.allSatisfy { (33..<127).contains($0) || $0 == 32 }
    guard isPlain, !stem.isEmpty, !stem.contains("\\"), stem != ".", stem != ".." else {
      return "archive"
    }
    return String(stem)
  }

  func records(folder: String) throws -> [ZipRecord] {
    let (pickle, storages) = try pickled()
    var records: [ZipRecord] = []
    records.reserveCapacity(storages.count + 6)
    func add(_ name: String, _ source: ByteSource) {
      records.append(ZipRecord(name: "\(folder)/\(name)", content: .source(source)))
    }
    add("data.pkl", .bytes(pickle))
    add(".format_version", .bytes(Array("1".utf8)))
    add(".storage_alignment", .bytes(Array("\(ZipPadding.pytorch.alignment)".utf8)))
    add("byteorder", .bytes(Array("little".utf8)))
    for (number, storage) in storages.enumerated() { add("data/\(number)", storage.source) }
    if !isExtract {
      for (name, source) in document.otherRecords { add(name, source) }
    }
    add("version", .bytes(Array("3\n".utf8)))
    records.append(
      ZipRecord(
        name: "\(folder)/.data/serialization_id",
        content: .summary(byteCount: SerializationID.byteCount, SerializationID.digits)))
    return records
  }

  /// The pickle, and the storages in the order of their numbers.
  private func pickled() throws -> ([UInt8], [Storage]) {
    let (graph, storages) = try spelledOut().numbered()
    do {
      return (try graph.encoded(), storages)
    } catch let error as PickleError {
      guard case .tooMuchOutside = error else { throw error }
      throw CheckpointError.cannotWrite(
        file: path, error.description, hint: "\(.makePlain) writes arrays as tensors")
    }
  }

  /// The graph with its storages numbered in the order of Python's pickler, and those storages.
  private consuming func numbered() throws -> (PickleGraph, [Storage]) {
    var ids: [PickleGraph.Ref] = []
    try self.graph.walk(from: self.graph.root) { ref in
      if case .persistentID = self.graph[ref] { ids.append(ref) }
      return true
    }
    // A graph created by `spelledOut()` is not shared, so modifying it does not copy it.
    var graph = self.graph
    self.graph = PickleGraph()
    var storages: [Storage] = []
    var numbers: [ObjectIdentifier: Int] = [:]
    var keys: [Int: PickleGraph.Ref] = [:]
    let isAdded = { (ref: PickleGraph.Ref) in Int(ref.index) >= document.graph.nodes.count }
    var shared: [[UInt8]: PickleGraph.Ref] = [:]
    for id in ids where !isAdded(id) {
      guard case .persistentID(let inner) = graph[id], let items = graph.items(of: inner) else {
        continue
      }
      for item in [items.first, items.dropFirst(3).first].compactMap(\.self) {
        guard case .string(let run) = graph[item] else { continue }
        let bytes = Array(graph.bytes(run))
        shared[bytes] = shared[bytes] ?? item
      }
    }
    for id in ids {
      guard case .persistentID(let inner) = graph[id], let storage = storage(of: id),
        var items = graph.items(of: inner).map(Array.init)
      else { continue }
      let number = numbers[ObjectIdentifier(storage)] ?? storages.count
      if number == storages.count {
        storages.append(storage)
        numbers[ObjectIdentifier(storage)] = number
      }
      let old = items
      if graph.text(items[2]) != "\(number)" {
        let key = keys[number] ?? graph.addString("\(number)")
        keys[number] = key
        items[2] = key
      } else {
        keys[number] = keys[number] ?? items[2]
      }
      // Readers use the first of a storage's IDs.
      let type = StorageTable.dtype(ofPersistentID: id, in: graph) ?? .uint8
      let count = storage.byteCount / type.byteCount * type.elementsPerByte
      if let claimed = graph.int(items[4]), type.byteCount(ofElements: claimed) != storage.byteCount
      {
        items[4] = graph.addInt(count)
      }
      // In Python, "storage" and "cpu" are one object each, in all IDs.
      for position in [0, 3] where isAdded(items[position]) {
        guard case .string(let run) = graph[items[position]] else { continue }
        let bytes = Array(graph.bytes(run))
        items[position] = shared[bytes] ?? items[position]
        shared[bytes] = items[position]
      }
      if items != old {
        let tuple = graph.addTuple(items)
        graph.replace(id, with: .persistentID(tuple))
      }
    }
    return (graph, storages)
  }

  /// The path of a tensor that uses a storage; nil if there is none.
  ///
  /// - Parameters:
  ///   - name: the storage's name, which is that of its record in an archive.
  ///   - file: the file that contains the storage; nil for any.
  package func keyOfStorage(named name: String, in file: File? = nil) -> String? {
    func isMeant(_ storage: Storage?) -> Bool {
      guard let storage, storage.name == name else { return false }
      guard let file, case .region(let region) = storage.source else { return true }
      return region.file.identity == file.identity
    }
    for index in graph.nodes.indices {
      let ref = PickleGraph.Ref(index: UInt32(index))
      if case .persistentID = graph[ref], isMeant(storage(of: ref)) { return graph.path(to: ref) }
      if isWaiting(ref), isMeant(tensor(of: ref)?.storage) { return graph.path(to: ref) }
    }
    return nil
  }
}
