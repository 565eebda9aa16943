internal import CkptText
internal import CkptPickle
internal import CkptBytes
package import CkptPlatform
internal import CkptTensors

/// Reads PyTorch's first format (before 0.1.10): a tar archive of `storages`, `tensors`, and
/// `pickle`.
///
/// Storages and tensors are identified by their memory addresses. The graph is converted to the
/// form of the zip format: the address of a tensor is replaced by the call that rebuilds it.
package struct TarReader: FormatReader {
  typealias Ref = PickleGraph.Ref

  private(set) var graph: PickleGraph
  private(set) var storages = StorageTable([:])

  private struct Stored {
    let className: String
    let type: DType
    let location: String
    var storage: Storage
  }

  private struct Geometry {
    let stored: Stored
    let shape: [Int]
    let strides: [Int]
    let offset: Int
  }

  private var storedByNumber: ExactDictionary<Stored> = [:]
  private var tensorsByNumber: ExactDictionary<Geometry> = [:]
  private var classes: [String: Ref] = [:]
  private let file: File
  /// Whether the file is known to be cut off; what is missing is then no error.
  private let isCut: Bool
  /// The objects of a file that is cut off whose storage or tensor is not there.
  private var unresolved: [UInt32] = []
  private var problems: [String] = []

  package static func recognizes(_ input: CheckpointInput) -> Bool {
    guard case .file(_, let start) = input else { return false }
    return TarDirectory.recognizes(start)
  }

  package static func document(of input: CheckpointInput) throws -> CheckpointDocument {
    guard case .file(let file, _) = input else { throw input.isNoFile }
    let read = try TarReader(file)
    return try CheckpointDocument(read.graph, read.storages, format: .pytorchTar, file: file)
  }

  /// Reads what is left of a file that is cut off.
  ///
  /// - Parameter unverified: whether a pickle that fails before the end of the file is used up to
  ///   there.
  /// - Throws: `CheckpointError` if no object is left; `FileError`.
  package static func salvage(_ file: File, unverified: Bool) throws -> SalvagedPickles {
    let read = try TarReader(salvaging: file, unverified: unverified)
    return SalvagedPickles(
      graph: read.graph, regions: read.storages.storages.compactMapValues(\.source.fileRegion),
      problems: read.problems, unresolved: read.unresolved, lacksObjects: read.lacksObjects)
  }

  private var lacksObjects = false

  private init(salvaging file: File, unverified: Bool) throws {
    self.file = file
    isCut = true
    let directory = try TarDirectory(file, allowsCut: true)
    var pickle = try Self.member("pickle", of: directory, in: file)
    let (graph, problem) = try SalvagedPickles.objects(&pickle, unverified: unverified)
    self.graph = graph
    lacksObjects = problem != nil
    problems = [problem].compactMap(\.self)
    do {
      var stream = try Self.member("storages", of: directory, in: file)
      try readStorages(&stream)
    } catch let error as CheckpointError {
      problems.append(error.description)
    }
    do {
      var stream = try Self.member("tensors", of: directory, in: file)
      try readTensors(&stream)
    } catch let error as CheckpointError {
      problems.append(error.description)
    }
    try resolve()
  }

  private init(_ file: File) throws {
    self.file = file
    isCut = false
    let directory = try TarDirectory(file)
    var pickle = try Self.member("pickle", of: directory, in: file)
    graph = try pickle.next("the object")
    var stream = try Self.member("storages", of: directory, in: file)
    try readStorages(&stream)
    stream = try Self.member("tensors", of: directory, in: file)
    try readTensors(&stream)
    try resolve()
  }

  private static func member(
    _ name: String, of directory: TarDirectory, in file: File
  ) throws -> LegacyStream {
    guard let range = directory.members[name] else {
      throw CheckpointError.notACheckpoint(
        file: file.path, "a tar archive without the member \(name)")
    }
    return LegacyStream(file, in: range)
  }

  private mutating func readStorages(_ stream: inout LegacyStream) throws {
    for _ in 0..<(try count(&stream)) {
      let notes = try stream.next("a storage")
      guard let items = notes.items(of: notes.root).map(Array.init), items.count == 3,
        let number = number(notes, items[0]), let location = notes.text(items[1]),
        let className = notes.global(items[2])?.name
      else { throw stream.bad("the notes of a storage make no sense") }
      guard let type = StorageTable.dtypes[className] else {
        throw stream.bad("storages of class \(Text.printable(className)) are not supported")
      }
      guard storedByNumber[number] == nil else {
        throw stream.bad("storage \(number) is there twice")
      }
      let source = try stream.storage(number, width: type.byteCount, allowsCut: isCut)
      storedByNumber[number] = Stored(
        className: className, type: type, location: location,
        storage: Storage(source, name: number))
    }
    let views = try stream.next("the views of storages")
    guard let list = views.sequence(views.root) else {
      throw stream.bad("the list of views is none")
    }
    for item in list {
      guard let parts = views.items(of: item).map(Array.init), parts.count == 4,
        let target = number(views, parts[0]), let root = number(views, parts[1]),
        let offset = views.int(parts[2]), let count = views.int(parts[3]),
        var stored = storedByNumber[root], storedByNumber[target] == nil,
        case .region(var region) = stored.storage.source
      else { throw stream.bad("a view of a storage makes no sense") }
      let width = stored.type.byteCount
      let (end, overflow) = offset.addingReportingOverflow(count)
      guard offset >= 0, count >= 0, !overflow, end <= region.byteCount / width else {
        throw stream.bad("a view leaves its storage")
      }
      region.offset += offset * width
      region.byteCount = count * width
      stored.storage = Storage(.region(region), name: target)
      storedByNumber[target] = stored
    }
  }

  private mutating func readTensors(_ stream: inout LegacyStream) throws {
    for _ in 0..<(try count(&stream)) {
      let notes = try stream.next("a tensor")
      guard let items = notes.items(of: notes.root).map(Array.init), items.count == 3,
        let number = number(notes, items[0]), let storage = self.number(notes, items[1])
      else { throw stream.bad("the notes of a tensor make no sense") }
      let stored = storedByNumber[storage]
      guard stored != nil || isCut else {
        throw stream.bad("tensor \(number) lies in storage \(storage), which is not there")
      }
      // The number of dimensions takes 8 bytes, of which 4 are used.
      let rank = try stream.integer(byteCount: 4)
      _ = try stream.integer(byteCount: 4)
      guard (0...64).contains(rank) else {
        throw stream.bad("tensor \(number) claims \(rank) dimensions")
      }
      func integers(_ stream: inout LegacyStream) throws -> [Int] {
        try (0..<rank).map { _ in Int(try stream.integer(byteCount: 8)) }
      }
      let shape = try integers(&stream)
      let strides = try integers(&stream)
      let offset = Int(try stream.integer(byteCount: 8))
      guard let stored else { continue }
      do {
        _ = try Tensor(
          storage: stored.storage, dtype: stored.type, shape: shape, strides: strides,
          offset: offset)
      } catch {
        throw stream.bad("tensor \(number): \(error.description)")
      }
      tensorsByNumber[number] = Geometry(
        stored: stored, shape: shape, strides: strides, offset: offset)
    }
  }

  private func count(_ stream: inout LegacyStream) throws -> Int {
    let graph = try stream.next("a count")
    guard let count = graph.int(graph.root), count >= 0 else {
      throw stream.bad("a count that is none")
    }
    return count
  }

  /// An address as text, since the int may exceed 63 bits.
  private func number(_ graph: PickleGraph, _ ref: Ref) -> String? {
    graph.decimal(ref) ?? graph.text(ref)
  }

  // MARK: - The graph

  private mutating func resolve() throws {
    var found: [UInt32: Storage] = [:]
    for index in graph.nodes.indices {
      let ref = Ref(index: UInt32(index))
      guard case .persistentID(let inner) = graph[ref] else { continue }
      if let items = graph.items(of: inner).map(Array.init), let cls = items.first,
        graph.global(cls) != nil
      {
        graph.replace(ref, with: graph[cls])
      } else if let number = number(graph, inner), let tensor = tensorsByNumber[number] {
        let id = addID(tensor.stored)
        found[id.index] = tensor.stored.storage
        addTensor(tensor, id, as: ref)
      } else if let number = number(graph, inner), let stored = storedByNumber[number] {
        let id = addID(stored)
        graph.replace(ref, with: graph[id])
        found[ref.index] = stored.storage
      } else if isCut {
        graph.replace(ref, with: .none)
        unresolved.append(ref.index)
      } else {
        throw CheckpointError.badObject(
          file: file.path, path: graph.path(to: ref), "neither a storage nor a tensor of the file")
      }
    }
    storages = StorageTable(found)
  }

  private mutating func cls(_ module: String, _ name: String) -> Ref {
    let key = module + "." + name
    if let known = classes[key] { return known }
    let ref = graph.addGlobal(module, name)
    classes[key] = ref
    return ref
  }

  private mutating func addID(_ stored: Stored) -> Ref {
    let items = [
      graph.addString("storage"), cls("torch", stored.className), graph.addString("0"),
      graph.addString(stored.location),
      graph.addInt(stored.storage.byteCount / stored.type.byteCount),
    ]
    let tuple = graph.addTuple(items)
    return graph.add(.persistentID(tuple))
  }

  private mutating func addInts(_ values: [Int]) -> Ref {
    let items = values.map { graph.addInt($0) }
    return graph.addTuple(items)
  }

  private mutating func addTensor(_ tensor: Geometry, _ id: Ref, as ref: Ref) {
    let shape = addInts(tensor.shape)
    let strides = addInts(tensor.strides)
    let nothing = graph.addTuple([])
    let ordered = cls("collections", "OrderedDict")
    let hooks = graph.addObject(.reduce(callable: ordered, arguments: nothing))
    let items = [
      id, graph.addInt(tensor.offset), shape, strides,
      graph.addBool(false), hooks,
    ]
    let arguments = graph.addTuple(items)
    let rebuild = cls("torch._utils", "_rebuild_tensor_v2")
    graph.replaceBody(of: ref, with: .init(.reduce(callable: rebuild, arguments: arguments)))
  }
}
