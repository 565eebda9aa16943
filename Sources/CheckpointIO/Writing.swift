internal import PickleFormat
public import Platform
internal import Streaming
internal import TensorStore
internal import ZipArchive

extension Checkpoint {
  /// What is left of the checkpoint is the object at `at`, as the root.
  public mutating func extract(at: String) throws {
    graph.root = try resolve(at)
    isExtract = true
  }

  /// Writes the checkpoint as PyTorch would: a zip archive of stored, aligned records.
  ///
  /// The file appears whole or not at all. Storages go from file to file in blocks, and their
  /// checksums are compared on the way; those that nothing uses are left out. The same checkpoint gives
  /// the same bytes. The archive's top folder is named after the file, as PyTorch does.
  /// - Parameters:
  ///   - replacingExisting: whether a file of that name may be replaced.
  ///   - cancellation: stops the writing.
  ///   - progress: told how many bytes were written since last time, from any thread.
  /// - Returns: the file's size in bytes.
  /// - Throws: `FileError`; `ChecksumError` for a damaged storage, naming its record and the
  ///   key of its tensor; `CheckpointError.cannotWrite`; `CancelledError`.
  @discardableResult
  public func write(
    to path: String, replacingExisting: Bool = false, cancellation: Cancellation = Cancellation(),
    progress: (@Sendable (Int) -> Void)? = nil
  ) throws -> Int {
    guard !document.isTorchScript || isExtract else {
      throw CheckpointError.cannotWrite(
        file: self.path, "a TorchScript archive cannot be written",
        hint: "--extract writes the state dict alone")
    }
    let records = try records(folder: Self.folder(for: path))
    let output = try AtomicOutput(
      path: path, replacingExisting: replacingExisting, cancellation: cancellation)
    let writer = ZipWriter(cancellation: cancellation, progress: progress)
    do {
      let size = try writer.write(records, to: output.file)
      try output.commit()
      return size
    } catch let error as ChecksumError where error.key == nil {
      throw error.naming(keyOfStorage(named: error.record))
    }
  }

  /// How many bytes ``write(to:replacingExisting:cancellation:progress:)`` would write.
  public func plannedByteCount(for path: String) throws -> Int {
    let layout = try ZipLayout(
      records(folder: Self.folder(for: path)).map { ($0.name, $0.byteCount) })
    return layout.byteCount
  }

  /// The archive's top folder: the file's name less its last ending, `archive` if it is not ASCII.
  static func folder(for path: String) -> String {
    let name = path.split(separator: "/").last ?? ""
    let stem = name.lastIndex(of: ".").map { name[..<$0] } ?? name
    let isPlain = stem.utf8.allSatisfy { (33..<127).contains($0) || $0 == 32 }
    guard isPlain, !stem.isEmpty, !stem.contains("\\"), stem != ".", stem != ".." else {
      return "archive"
    }
    return String(stem)
  }

  private func records(folder: String) throws -> [ZipRecord] {
    let (graph, storages) = try numbered()
    let pickle = try graph.encoded()
    var records: [(String, ByteSource)] = [
      ("data.pkl", .bytes(pickle)), (".format_version", .bytes(Array("1".utf8))),
      (".storage_alignment", .bytes(Array("\(ZipLayout.alignment)".utf8))),
      ("byteorder", .bytes(Array("little".utf8))),
    ]
    for (number, storage) in storages.enumerated() {
      records.append(("data/\(number)", storage.source))
    }
    if !isExtract { records += document.otherRecords }
    records.append(("version", .bytes(Array("3\n".utf8))))
    return records.map { ZipRecord(name: "\(folder)/\($0)", content: .source($1)) }
      + [ZipRecord(name: "\(folder)/.data/serialization_id", content: .serializationID)]
  }

  /// The graph with its storages numbered in the order in which a pickler meets them, and these.
  private func numbered() throws -> (PickleGraph, [Storage]) {
    var ids: [PickleGraph.Ref] = []
    try self.graph.walk(from: self.graph.root) { ref in
      if case .persistentID = self.graph[ref] { ids.append(ref) }
      return true
    }
    var graph = self.graph
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
      // In Python "storage" and "cpu" are one object each, wherever the tensors come from.
      for place in [0, 3] where isAdded(items[place]) {
        guard case .string(let run) = graph[items[place]] else { continue }
        let bytes = Array(graph.bytes(run))
        items[place] = shared[bytes] ?? items[place]
        shared[bytes] = items[place]
      }
      if items != old {
        let tuple = graph.addTuple(items)
        graph.replace(id, with: .persistentID(tuple))
      }
    }
    return (graph, storages)
  }

  /// The path of a tensor that looks into a storage; nil if none does.
  private func keyOfStorage(named name: String) -> String? {
    for index in graph.nodes.indices {
      let ref = PickleGraph.Ref(index: UInt32(index))
      if case .persistentID = graph[ref], storage(of: ref)?.name == name {
        return graph.path(to: ref)
      }
    }
    return nil
  }
}
