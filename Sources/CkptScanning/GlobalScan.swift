internal import CkptPickle
internal import CkptBytes
internal import CkptIO
internal import CkptPlatform
internal import CkptTensors
internal import CkptZip

/// All classes and functions that the pickles of a file refer to, determined from their opcodes
/// only.
///
/// Files that cannot be read as a checkpoint can be scanned, too, since `pickle` runs everything
/// before the damage. Checksums are not compared, as in `torch.load`.
public struct GlobalScan: Sendable {
  /// A class or function by name.
  public struct Global: Sendable, Hashable {
    /// The module that the pickle names; `copyreg` for an extension code.
    public let module: String
    /// The name in the module; dotted from protocol 4 on.
    public let name: String
    /// The rating.
    public let rating: GlobalRating
    /// Whether the pickle calls it or instantiates it, rather than only referring to it.
    public let isCalled: Bool
    /// The first pickle that names it.
    public let pickle: String
  }

  /// A pickle that could not be read completely.
  public struct Problem: Sendable, Hashable {
    /// The pickle; empty if the problem concerns the whole file.
    public let pickle: String
    /// What is wrong, with the byte's offset in the pickle.
    public let what: String
  }

  /// Each name once, dangerous ones first, then in order of appearance.
  public private(set) var globals: [Global] = []
  /// The pickles that were read.
  public private(set) var pickles: [String] = []
  /// The pickles that could not be read completely; names up to the problem are in ``globals``.
  public private(set) var problems: [Problem] = []

  /// The worst rating; at least `unknown` if a pickle could not be read completely.
  public var verdict: GlobalRating {
    let worst = globals.map(\.rating).max() ?? .safe
    return problems.isEmpty ? worst : max(worst, .unknown)
  }

  /// The maximum size in bytes of a pickle that is scanned: in an archive, and as a file.
  private static let recordLimit = 1 << 30
  private static let limit = 256 << 20

  /// The prefix of the pickles' names: the file, if there are several.
  private var prefix = ""

  /// Scans the file or folder at `path`: the pickles in a zip archive, or consecutive pickles in a
  /// file; for a folder or an index of shards, all such files.
  ///
  /// - Throws: `FileError`; `ZipError` for an archive that two readers interpret differently;
  ///   `CheckpointError.notACheckpoint` for a file that is neither an archive nor a pickle.
  package init(_ path: String) throws {
    if Folder.exists(at: path) {
      try scan(Folder(path))
    } else {
      let file = try File(readingFrom: path)
      if try file.bytes(at: 0, count: min(file.size, 1)) == [UInt8(ascii: "{")] {
        for file in try Checkpoint(file).files where file.path != path {
          try scan(file, named: String(file.path.split(separator: "/").last ?? ""))
        }
      } else if try !scan(file, named: nil) {
        throw CheckpointError.notACheckpoint(
          file: path, "is neither an archive nor a pickle, so that there is nothing to scan")
      }
    }
    let order = globals.enumerated().sorted {
      ($1.element.rating, $0.offset) < ($0.element.rating, $1.offset)
    }
    globals = order.map(\.element)
  }

  /// Scans the files of a folder and its subfolders. The data files of a distributed checkpoint are
  /// skipped, because PyTorch reads their pickles with `weights_only=True`, unlike `.metadata`.
  private mutating func scan(_ folder: Folder) throws {
    var folders = [folder]
    for name in folder.names where Folder.exists(at: folder.path + "/" + name) {
      folders.append(try folder.subfolder(name))
    }
    for inner in folders {
      for name in inner.names where !name.hasSuffix(".distcp") {
        guard !Folder.exists(at: inner.path + "/" + name) else { continue }
        let shown = String((inner.path + "/" + name).dropFirst(folder.path.count + 1))
        do {
          try scan(inner.open(name), named: shown)
        } catch let error as any Diagnostic where error.kind == .badInput {
          problems.append(Problem(pickle: shown, what: error.description))
        }
      }
    }
  }

  /// Scans one file; returns whether it is of a known kind.
  @discardableResult
  private mutating func scan(_ file: File, named name: String?) throws -> Bool {
    prefix = name.map { $0 + ": " } ?? ""
    let start = try file.bytes(at: 0, count: min(file.size, 512))
    if let other = try OtherFile.recognize(file, start: start) {
      guard let name else { throw CheckpointError.otherFile(file: file.path, other) }
      if other.isArchive {
        problems.append(
          Problem(pickle: name, what: "\(other.name): what is in it was not looked at"))
      }
      return false
    }
    if start.starts(with: [0x50, 0x4B]) {
      try scanArchive(ZipReader(file))
    } else if TarDirectory.recognizes(start) {
      try scanTar(file)
    } else if Self.isSafetensors(start, file.size) {
      // A file with a JSON header and plain bytes contains no pickle.
    } else if let first = start.first,
      first == 0x80 || (name == nil && Self.textOpcodes.contains(first))
    {
      try scanPickles(file)
    } else {
      return false
    }
    return true
  }

  /// The first opcodes of pickles of protocols 0 and 1: `(`, `]`, `}`, `)`, `c`, and others.
  private static let textOpcodes: Set<UInt8> = Set("(])}cNIFVSiUKMJGX".utf8)

  private static func isSafetensors(_ start: [UInt8], _ size: Int) -> Bool {
    guard start.count >= 9, start[8] == UInt8(ascii: "{") else { return false }
    let length = UInt64(littleEndian: start[..<8])
    return length <= UInt64(size)
  }

  private mutating func scanArchive(_ archive: ZipReader) throws {
    let isTorchScript = archive.entries.contains { $0.name.hasSuffix("/constants.pkl") }
    for entry in archive.entries where !entry.name.hasSuffix("/") && entry.byteCount > 0 {
      let source = try archive.source(of: entry)
      // A hidden pickle may have any name, but a storage may begin with any byte.
      let isNamedSo = [".pkl", ".pickle", ".debug_pkl"].contains { entry.name.hasSuffix($0) }
      if !isNamedSo {
        guard !Self.isStorage(entry.name), entry.byteCount >= 2 else { continue }
        let start = try source.bytes(in: 0..<2)
        guard start[0] == 0x80, (2...5).contains(start[1]) else { continue }
      }
      let name = prefix + entry.name
      pickles.append(name)
      guard entry.byteCount <= Self.recordLimit else {
        problems.append(Problem(pickle: name, what: "it is larger than 1 GB"))
        continue
      }
      add(
        PickleGraph.salvage(try source.allBytes()), named: name, isTorchScript: isTorchScript)
    }
  }

  /// Whether a record's name is that of a storage, such as `folder/data/7`, which PyTorch only
  /// reads as a storage.
  private static func isStorage(_ name: String) -> Bool {
    let parts = name.split(separator: "/")
    return parts.count == 3 && parts[1] == "data" && parts[2].allSatisfy(\.isNumber)
  }

  /// Scans one pickle of a file, and skips it if it could be read completely.
  private mutating func scanPickle(
    _ file: File, at offset: inout Int, before end: Int, named name: String
  ) throws -> PickleGraph? {
    var size = min(end - offset, 1 << 20)
    var read = PickleGraph.salvage(try file.bytes(at: offset, count: size))
    // The pickle may be longer than the part that was read; 1 MB is usually enough.
    while read.problem != nil, size < end - offset, size < Self.limit {
      size = min(end - offset, size * 8, Self.limit)
      read = PickleGraph.salvage(try file.bytes(at: offset, count: size))
    }
    pickles.append("\(prefix)\(name) at byte \(offset)")
    add(read, named: pickles[pickles.count - 1], isTorchScript: false)
    offset += read.end
    return read.problem == nil ? read.graph : nil
  }

  /// Scans consecutive pickles at the start of a file: one, or five followed by storages in PyTorch
  /// before 1.6.
  private mutating func scanPickles(_ file: File) throws {
    let magic: [UInt8] = [0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19]
    var offset = 0
    var isLegacy = false
    for number in 0..<1000 {
      guard
        let graph = try scanPickle(
          file, at: &offset, before: file.size, named: "pickle \(number)")
      else { return }
      if number == 0, case .bigInt(let run)? = graph.nodes.first {
        isLegacy = graph.bytes(run).elementsEqual(magic)
      }
      guard offset < file.size, !isLegacy || number < 4 else { return }
      // Data after a single pickle is a pickle only if it begins with a protocol.
      let next = try file.bytes(at: offset, count: 1)
      guard isLegacy || next == [0x80] else { return }
    }
    problems.append(Problem(pickle: "", what: "over 1000 pickles stand in a row"))
  }

  private static func count(_ node: PickleGraph.Node) -> Int? {
    if case .int(let value) = node { Int(exactly: value) } else { nil }
  }

  /// Scans PyTorch's first format, a tar archive: pickles with numbers and storages between them.
  private mutating func scanTar(_ file: File) throws {
    let members = try TarDirectory(file).members
    for name in ["pickle", "storages", "tensors"] {
      guard let range = members[name] else { continue }
      var offset = range.lowerBound
      let first = try scanPickle(file, at: &offset, before: range.upperBound, named: name)
      guard let first, name != "pickle" else { continue }
      var left = first.nodes.last.flatMap(Self.count) ?? 0
      while left > 0, offset < range.upperBound {
        guard
          let notes = try scanPickle(file, at: &offset, before: range.upperBound, named: name),
          let size = try Self.byteCount(
            behind: notes, in: file, at: offset, before: range.upperBound,
            isTensor: name == "tensors"
          )
        else { break }
        offset += size
        left -= 1
      }
      if left == 0, name == "storages" {
        _ = try scanPickle(file, at: &offset, before: range.upperBound, named: name)
      } else if left > 0 {
        problems.append(Problem(pickle: name, what: "the member \(name) cannot be read to its end"))
      }
    }
  }

  /// The number of bytes after the pickle about a tensor (its rank, sizes, strides, and offset) or
  /// a storage (its count and elements); nil if it is invalid.
  private static func byteCount(
    behind notes: PickleGraph, in file: File, at offset: Int, before end: Int, isTensor: Bool
  ) throws -> Int? {
    guard end - offset >= 8 else { return nil }
    let bytes = try file.bytes(at: offset, count: isTensor ? 4 : 8)
    let count = Int(littleEndian: bytes)
    var size: Int?
    if isTensor {
      size = (0...64).contains(count) ? 16 * count + 8 : nil
    } else {
      let types = notes.nodes.indices.compactMap {
        notes.global(PickleGraph.Ref(index: UInt32($0))).flatMap {
          StorageTable.dtypes[$0.name]
        }
      }
      size = count >= 0 ? types.last?.byteCount(ofElements: count) : nil
    }
    guard let size, size <= end - offset - 8 else { return nil }
    return 8 + size
  }

  private mutating func add(
    _ read: PickleGraph.Salvage, named pickle: String, isTorchScript: Bool
  ) {
    if let problem = read.problem {
      problems.append(Problem(pickle: pickle, what: problem.description))
    }
    var positions: [String: Int] = [:]
    for (position, global) in globals.enumerated() {
      positions[global.module + "\n" + global.name] = position
    }
    for name in NamesInPickle(read.graph).names {
      let key = name.module + "\n" + name.name
      let known = positions[key]
      if let known, globals[known].isCalled || !name.isCalled { continue }
      let found = Global(
        module: name.module, name: name.name,
        rating: .of(module: name.module, name: name.name, isTorchScript: isTorchScript),
        isCalled: name.isCalled, pickle: known.map { globals[$0].pickle } ?? pickle)
      if let known {
        globals[known] = found
      } else {
        positions[key] = globals.count
        globals.append(found)
      }
    }
  }
}

/// The classes and functions in a graph, including unreferenced ones.
struct NamesInPickle {
  struct Name {
    let module: String
    let name: String
    let isCalled: Bool
  }

  private let graph: PickleGraph
  /// The names that calls of `getattr` with a name and a str result in, by object.
  private var attributes: [PickleGraph.Ref: (module: String, name: String)] = [:]
  private(set) var names: [Name] = []

  init(_ graph: PickleGraph) {
    self.graph = graph
    var called: Set<PickleGraph.Ref> = []
    var mentioned: Set<PickleGraph.Ref> = []
    // The objects of a call come before it.
    for index in graph.nodes.indices {
      let ref = PickleGraph.Ref(index: UInt32(index))
      var parts = graph.parts(of: ref)[...]
      switch graph.body(of: ref)?.construction {
      case .reduce(let callable, let arguments):
        called.insert(callable)
        parts = parts.dropFirst()
        if isGetattr(callable) {
          if let name = attribute(arguments) {
            attributes[ref] = name
            // The name from which the attribute is taken is only an intermediate step.
            called.remove(callable)
            parts = parts.dropFirst()
          } else {
            mentioned.insert(callable)
          }
        }
      case .newObject(let cls, _), .newObjectWithKeywords(let cls, _, _):
        called.insert(cls)
        parts = parts.dropFirst()
        if isGetattr(cls) { mentioned.insert(cls) }
      default: break
      }
      mentioned.formUnion(parts)
    }
    for index in graph.nodes.indices {
      let ref = PickleGraph.Ref(index: UInt32(index))
      // A getattr that only forms names is not a use of its own.
      if isGetattr(ref), !mentioned.contains(ref), !called.contains(ref) { continue }
      guard let (module, name) = name(ref) else { continue }
      names.append(Name(module: module, name: name, isCalled: called.contains(ref)))
    }
  }

  private func isGetattr(_ ref: PickleGraph.Ref) -> Bool {
    guard let name = graph.global(ref), name.name == "getattr" else { return false }
    return name.module == "builtins" || name.module == "__builtin__"
  }

  /// The name that `getattr` returns, if its arguments are a name and a str.
  private func attribute(_ arguments: PickleGraph.Ref) -> (module: String, name: String)? {
    guard let items = graph.items(of: arguments).map(Array.init), items.count == 2,
      let owner = name(items[0]), let step = graph.text(items[1]), owner.name.utf8.count < 1000
    else { return nil }
    return (owner.module, owner.name + "." + step)
  }

  private func name(_ ref: PickleGraph.Ref) -> (module: String, name: String)? {
    if case .extensionCode(let code) = graph[ref] { return ("copyreg", "extension \(code)") }
    return attributes[ref] ?? graph.global(ref)
  }
}
