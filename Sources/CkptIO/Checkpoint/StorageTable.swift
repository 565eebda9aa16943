package import CkptPickle
internal import CkptBytes
internal import CkptPlatform
package import CkptTensors
internal import CkptZip
package import CkptText

/// The storages of a pickle's persistent IDs.
package struct StorageTable {
  /// The storages by the number of the persistent ID in the graph.
  package private(set) var storages: [UInt32: Storage] = [:]

  /// The dtypes of PyTorch's typed storage classes.
  package static let dtypes: [String: DType] = [
    "DoubleStorage": .float64, "FloatStorage": .float32, "HalfStorage": .float16,
    "BFloat16Storage": .bfloat16, "LongStorage": .int64, "IntStorage": .int32,
    "ShortStorage": .int16, "CharStorage": .int8, "ByteStorage": .uint8, "BoolStorage": .bool,
    "ComplexFloatStorage": .complex64, "ComplexDoubleStorage": .complex128,
    "QInt8Storage": .qint8, "QUInt8Storage": .quint8, "QInt32Storage": .qint32,
    "QUInt4x2Storage": .quint4x2, "QUInt2x4Storage": .quint2x4,
  ]

  /// The dtype that a persistent ID's class states; nil for untyped storages.
  static func dtype(ofPersistentID id: PickleGraph.Ref, in graph: PickleGraph) -> DType? {
    guard case .persistentID(let inner) = graph[id], let items = graph.items(of: inner),
      let cls = items.dropFirst().first, let name = graph.global(cls)
    else { return nil }
    return dtypes[name.name]
  }

  /// Creates a table of storages by the number of their persistent ID in the graph.
  package init(_ storages: [UInt32: Storage]) { self.storages = storages }

  /// A storage that a pickle names.
  package struct Named {
    /// The key, by which the storage's record is named.
    package let key: String
    /// The dtype of the class; nil for untyped storages.
    package let dtype: DType?
    /// The number of elements that the pickle states.
    package let elementCount: Int
    /// The number of bytes of these elements.
    package let byteCount: Int
    /// Creates an error about the storage's object.
    package let bad: (String) -> CheckpointError
  }

  /// Finds the storage of each persistent ID in `graph`; each key is asked for once.
  ///
  /// - Throws: `CheckpointError.badObject` for a persistent ID that is not one of PyTorch's; what
  ///   `find` throws.
  package init(
    _ graph: PickleGraph, file: String, finding find: (Named) throws -> Storage
  ) throws {
    var byKey: ExactDictionary<(storage: Storage, className: String)> = [:]
    for (index, node) in graph.nodes.enumerated() {
      guard case .persistentID(let inner) = node else { continue }
      let ref = PickleGraph.Ref(index: UInt32(index))
      func bad(_ problem: String) -> CheckpointError {
        .badObject(file: file, path: graph.path(to: ref), problem)
      }
      guard let items = graph.items(of: inner).map(Array.init), items.count >= 5,
        graph.text(items[0]) == "storage", let name = graph.global(items[1]),
        let key = graph.text(items[2]), graph.text(items[3]) != nil,
        let count = graph.int(items[4]), count >= 0
      else { throw bad("a persistent id that is no storage of PyTorch's") }
      if let known = byKey[key] {
        // `torch.load` uses the first class for all, and `torch.save` does not write such files.
        guard known.className == name.name else {
          throw bad(
            "storage \(key) is of the class \(name.name) here and of \(known.className) elsewhere")
        }
        storages[ref.index] = known.storage
        continue
      }
      let dtype = Self.dtypes[name.name]
      guard dtype != nil || name.name == "UntypedStorage" else {
        throw bad("storages of class \(name.module).\(name.name) are not supported")
      }
      guard let size = (dtype ?? .uint8).byteCount(ofElements: count) else {
        throw bad("storage \(key) claims \(count) elements, more than can be counted")
      }
      let storage = try find(
        Named(key: key, dtype: dtype, elementCount: count, byteCount: size, bad: bad))
      byKey[key] = (storage, name.name)
      storages[ref.index] = storage
    }
  }

  /// The number of bytes of all storages.
  var byteCount: Int {
    var seen = Set<ObjectIdentifier>()
    return storages.values.reduce(0) { sum, storage in
      guard seen.insert(ObjectIdentifier(storage)).inserted else { return sum }
      let (next, overflow) = sum.addingReportingOverflow(storage.byteCount)
      return overflow ? .max : next
    }
  }

  /// For a big-endian file: the element size in bytes of untyped storages, by record name,
  /// determined from their tensors.
  package static func swapWidths(_ graph: PickleGraph) -> ExactDictionary<Int> {
    TensorReader.swapWidths(graph)
  }

  /// Finds the record of each persistent ID in `graph`.
  ///
  /// - Parameter swapWidths: for a big-endian file, the element size in bytes of untyped storages,
  ///   by record name.
  init(
    _ graph: PickleGraph, archive: ZipReader, folder: String, isBigEndian: Bool,
    swapWidths: ExactDictionary<Int>
  ) throws {
    try self.init(graph, file: archive.file.path) { named in
      let record = "\(folder)/data/\(named.key)"
      guard let entry = archive.entry(named: record) else {
        throw ZipError.missingEntry(file: archive.file.path, entry: record)
      }
      guard named.byteCount <= entry.byteCount else {
        throw named.bad(
          "storage \(named.key) claims \(named.elementCount) elements, more than its record's "
            + "\(entry.byteCount) bytes hold")
      }
      // PyTorch refuses such files, too.
      guard named.byteCount == entry.byteCount || (named.dtype?.elementsPerByte ?? 1) > 1 else {
        throw named.bad(
          "storage \(named.key) claims \(named.elementCount) elements, fewer than its record's "
            + "\(entry.byteCount) bytes hold")
      }
      var source = try archive.source(of: entry)
      if named.byteCount < entry.byteCount {
        guard case .region = source else {
          throw named.bad("storage \(named.key) is shorter than its compressed record")
        }
        source = source.part(0..<named.byteCount)
      }
      let width = named.dtype?.componentByteCount ?? swapWidths[named.key] ?? 1
      if isBigEndian, width > 1 { source = .computed(ByteSwapped(source, width: width)) }
      return Storage(source, name: record)
    }
  }

  /// The storage of a persistent ID.
  package subscript(_ id: PickleGraph.Ref) -> Storage? { storages[id.index] }
}
