internal import CkptText
internal import CkptPickle
internal import CkptBytes
internal import CkptPlatform
internal import CkptTensors

/// Reads PyTorch's format before 1.6: a magic number, a version, system information, the object,
/// and the keys of the storages, each a separate pickle; then the storages in the order of the
/// keys.
///
/// The graph is converted to the form of the zip format: persistent IDs have five items, and
/// classes that were saved with their source are replaced by plain ones.
package struct LegacyReader: FormatReader {
  typealias Ref = PickleGraph.Ref

  let graph: PickleGraph
  let storages: StorageTable

  /// `MAGIC_NUMBER` of torch/serialization.py.
  private static let magic = "119547037146038801333356"
  private static let version = 1001

  /// Whether the file begins with the pickle of the magic number, in any protocol.
  package static func recognizes(_ input: CheckpointInput) -> Bool {
    guard case .file(let file, let start) = input, let first = start.first,
      first == 0x80 || first == UInt8(ascii: "L")
    else { return false }
    var stream = PickleStream(file, in: 0..<min(file.size, 64), limit: 64)
    guard let graph = try? stream.next() else { return false }
    return graph.decimal(graph.root) == magic
  }

  package static func document(of input: CheckpointInput) throws -> CheckpointDocument {
    guard case .file(let file, _) = input else { throw input.isNoFile }
    let read = try LegacyReader(file)
    return try CheckpointDocument(read.graph, read.storages, format: .pytorchLegacy, file: file)
  }

  /// A storage that was saved alone.
  struct LoneStorage {
    /// The class of the storage.
    let module, name: String
    /// The number of elements.
    let count: Int
    let source: ByteSource
  }

  /// Reads a part of a file that contains only a storage, as written by `torch.save(storage)`
  /// before 1.6.
  static func storage(in file: File, _ part: Range<Int>) throws -> LoneStorage {
    let read = try LegacyReader(file, in: part)
    guard let storage = read.storages[read.graph.root],
      case .persistentID(let inner) = read.graph[read.graph.root],
      let items = read.graph.items(of: inner).map(Array.init), items.count >= 5,
      let name = read.graph.global(items[1]), let count = read.graph.int(items[4])
    else {
      throw CheckpointError.notACheckpoint(
        file: file.path, "it holds something else than a storage")
    }
    return LoneStorage(module: name.module, name: name.name, count: count, source: storage.source)
  }

  /// Reads the magic number, the version, and the notes about the system.
  static func readNotes(_ stream: inout LegacyStream) throws {
    _ = try stream.next("the magic number")
    let version = try stream.next("the version")
    guard version.int(version.root) == Self.version else {
      let found = version.decimal(version.root) ?? "unknown"
      throw stream.bad("version \(Text.printable(found)) of the format is not supported")
    }
    _ = try stream.next("the notes about the system")
  }

  private init(_ file: File, in part: Range<Int>? = nil) throws {
    var stream = LegacyStream(file, in: part ?? 0..<file.size)
    try Self.readNotes(&stream)
    var graph = try stream.next("the object")
    let keys = try stream.next("the list of storages")
    var ids = LegacyStorageIDs()
    try ids.find(in: &graph, stream: stream)
    guard let list = keys.sequence(keys.root) else {
      throw stream.bad("the list of storages is none")
    }
    for item in list {
      guard let key = keys.text(item) ?? keys.decimal(item) else {
        throw stream.bad("a storage's key is neither text nor a number")
      }
      guard let root = ids.roots[key] else {
        throw stream.bad("no object uses storage \(Text.printable(key))")
      }
      guard root.source == nil else {
        throw stream.bad("storage \(Text.printable(key)) is there twice")
      }
      ids.roots[key]?.source = try stream.storage(
        key, width: root.width, expectedByteCount: root.byteCount)
    }
    self.graph = graph
    storages = StorageTable(try ids.resolve(in: graph, stream: stream))
  }
}

/// Reads consecutive pickles and storages.
struct LegacyStream {
  let file: File
  private(set) var pickles: PickleStream

  init(_ file: File, in range: Range<Int>) {
    self.file = file
    pickles = PickleStream(file, in: range, limit: PyTorchZipReader.pickleLimit)
  }

  func bad(_ problem: String) -> CheckpointError {
    .damaged(file: file.path, offset: pickles.offset, problem)
  }

  mutating func next(_ what: String) throws -> PickleGraph {
    do {
      return try pickles.next()
    } catch let error as PickleError {
      throw CheckpointError.badPickle(
        file: file.path, of: what, offset: pickles.offset, error.description)
    }
  }

  /// Moves past `count` bytes, or to the end.
  mutating func skip(_ count: Int) {
    pickles.offset += min(max(count, 0), pickles.end - pickles.offset)
  }

  /// Reads a little-endian integer of `byteCount` bytes.
  mutating func integer(byteCount: Int) throws -> Int64 {
    guard byteCount <= pickles.end - pickles.offset else { throw bad("the file ends early") }
    let bytes = try file.bytes(at: pickles.offset, count: byteCount)
    pickles.offset += byteCount
    return Int64(twosComplement: bytes)
  }

  /// Reads the next storage: the number of elements (64 bits), then the elements.
  ///
  /// - Parameters:
  ///   - expectedByteCount: the size that the objects state; nil if they do not.
  ///   - allowsCut: whether the elements may exceed the file, as in a file that is cut off.
  mutating func storage(
    _ key: String, width: Int, expectedByteCount: Int? = nil, allowsCut: Bool = false
  ) throws -> ByteSource {
    let shown = Text.printable(key)
    let count = Int(try integer(byteCount: 8))
    let (byteCount, overflow) = count.multipliedReportingOverflow(by: width)
    let left = allowsCut ? Int.max / 2 : pickles.end - pickles.offset
    guard count >= 0, !overflow, byteCount <= left else {
      throw bad("storage \(shown) claims \(count) elements, more than the file has left")
    }
    if let expectedByteCount, expectedByteCount != byteCount {
      throw bad(
        "storage \(shown) has \(byteCount) bytes, but \(expectedByteCount) for the objects")
    }
    defer { skip(byteCount) }
    return .region(
      FileRegion(
        file: file, offset: pickles.offset, byteCount: byteCount, name: "storage \(key)"))
  }
}
