internal import CkptText
internal import CkptPickle
internal import CkptPlatform
internal import CkptStateDicts
internal import CkptBytes
internal import CkptTensors
internal import CkptZip

/// Writes a distributed checkpoint of one rank: `__0_0.distcp`, in which each tensor and each
/// object is a separate archive as written by `torch.save`, and `.metadata`, which contains their
/// positions.
///
/// In the folder of another distributed checkpoint, the first file gets the next free number, such as
/// `__0_1.distcp`: until `.metadata` is replaced, the old file is needed.
///
/// `torch.distributed.checkpoint.load` reads it to plain and sharded state dicts; each rank reads
/// the part of a tensor that it needs.
enum DistributedWriter: FormatWriter {
  static let format = Checkpoint.Format.distributed
  /// The endings that select this format; other names need `--format`.
  static let endings = [".dcp", ".distcp"]

  /// A name for the data that is not used in the folder at `path`.
  private static func dataName(in path: String) -> String {
    let used = Set((try? Folder(path))?.names ?? [])
    let number = (0...used.count).first { !used.contains("__0_\($0).distcp") }
    return "__0_\(number ?? 0).distcp"
  }

  /// Whether a file is the data of a rank.
  private static func isData(_ name: String) -> Bool {
    guard name.hasPrefix("__"), name.hasSuffix(".distcp") else { return false }
    let numbers = name.dropFirst(2).dropLast(7).split(
      separator: "_", omittingEmptySubsequences: false)
    return numbers.count == 2
      && numbers.allSatisfy { !$0.isEmpty && $0.utf8.allSatisfy { (48..<58).contains($0) } }
  }

  static func plan(
    _ checkpoint: Checkpoint, to path: String, _ options: WriteOptions
  ) throws -> OutputPlan {
    let parts = try FlattenedObjects(checkpoint.graph, file: checkpoint.path) {
      checkpoint.tensor(of: $0) != nil
    }.parts
    let dataName = dataName(in: path)
    var archives: [ZipPlan] = []
    var positions: [DistributedMetadata.Place?] = parts.map { _ in nil }
    var offset = 0
    // The objects come before the tensors, as in PyTorch.
    for isTensor in [false, true] {
      for (number, part) in parts.enumerated()
      where (checkpoint.tensor(of: part.ref) != nil) == isTensor {
        let records = try checkpoint.archive(
          of: part.ref, checkpoint.tensor(of: part.ref), key: part.name)
        let archive = try ZipPlan(records, padding: .pytorch)
        positions[number] = .init(file: dataName, offset: offset, byteCount: archive.byteCount)
        archives.append(archive)
        offset += archive.byteCount
      }
    }
    var metadata = MetadataBuilder()
    for (part, position) in zip(parts, positions) {
      if let position {
        metadata.add(part.name, part.path, checkpoint.tensor(of: part.ref), position)
      }
    }
    let size = offset
    let all = archives
    let pickle = try metadata.encoded()
    return OutputPlan(
      format: format, folder: path,
      files: [
        OutputPlan.File(name: dataName, byteCount: size) { file, context in
          try ZipWriter(context.stream).write(inARow: all, to: file)
        },
        OutputPlan.File(name: DistributedReader.metadataName, byteCount: pickle.count) {
          file, context in
          try context.stream.write([StreamSegment(offset: 0, source: .bytes(pickle))], to: file)
        },
      ], isObsolete: isData)
  }
}

/// Creates the pickle of a `torch.distributed.checkpoint.metadata.Metadata`.
private struct MetadataBuilder {
  typealias Ref = PickleGraph.Ref

  private var graph = PickleGraph()
  private var names: [String: Ref] = [:]
  private var texts: [ExactText: Ref] = [:]
  private var stateDict: [PickleGraph.Edit] = []
  private var planner: [PickleGraph.Edit] = []
  private var storage: [PickleGraph.Edit] = []
  private var layout: Ref?
  private var memoryFormat: Ref?

  private static let module = "torch.distributed.checkpoint.metadata"

  /// Adds a tensor, or an object if `tensor` is nil.
  mutating func add(
    _ name: String, _ path: [DistributedMetadata.Step], _ tensor: Tensor?,
    _ position: DistributedMetadata.Place
  ) {
    let key = graph.addString(name)
    let item: Ref
    let offsets: Ref
    let index: Ref
    if let tensor {
      let origin = [Int](repeating: 0, count: tensor.shape.count)
      let chunk = object(
        Self.module, "ChunkStorageMetadata",
        [("offsets", size(origin)), ("sizes", size(tensor.shape))])
      let chunks = graph.addObject(.list, edits: [.append(chunk)])
      item = object(
        Self.module, "TensorStorageMetadata",
        [
          ("properties", properties(tensor)), ("size", size(tensor.shape)), ("chunks", chunks),
        ])
      offsets = size(origin)
      index = graph.addInt(0)
    } else {
      item = object(Self.module, "BytesStorageMetadata", [])
      offsets = graph.add(.none)
      index = graph.add(.none)
    }
    stateDict.append(.setItem(key: key, value: item))
    let steps = path.map { step in
      switch step {
      case .key(let key): graph.addString(key.text)
      case .index(let index): graph.addInt(index)
      }
    }
    planner.append(.setItem(key: key, value: graph.addTuple(steps)))
    let identity = object(
      Self.module, "MetadataIndex", [("fqn", key), ("offset", offsets), ("index", index)])
    let info = object(
      "torch.distributed.checkpoint.filesystem", "_StorageInfo",
      [
        ("relative_path", text(position.file)), ("offset", graph.addInt(position.offset)),
        ("length", graph.addInt(position.byteCount)),
      ])
    storage.append(.setItem(key: identity, value: info))
  }

  mutating func encoded() throws -> [UInt8] {
    let parts = [
      ("state_dict_metadata", graph.addObject(.dict, edits: stateDict)),
      ("planner_data", graph.addObject(.dict, edits: planner)),
      ("storage_data", graph.addObject(.dict, edits: storage)),
      ("storage_meta", graph.add(.none)), ("version", graph.addString("1.0.0")),
    ]
    graph.root = object(Self.module, "Metadata", parts)
    return try graph.encoded()
  }

  private mutating func cls(_ module: String, _ name: String) -> Ref {
    if let known = names[module + "." + name] { return known }
    let ref = graph.addGlobal(module, name)
    names[module + "." + name] = ref
    return ref
  }

  private mutating func text(_ text: String) -> Ref {
    if let known = texts[ExactText(text)] { return known }
    let ref = graph.addString(text)
    texts[ExactText(text)] = ref
    return ref
  }

  private mutating func object(
    _ module: String, _ name: String, _ attributes: [(String, Ref)]
  ) -> Ref {
    let cls = cls(module, name)
    let nothing = graph.addTuple([])
    var edits: [PickleGraph.Edit] = []
    if !attributes.isEmpty {
      let entries = attributes.map { name, value in
        PickleGraph.Edit.setItem(key: text(name), value: value)
      }
      edits = [.build(graph.addObject(.dict, edits: entries))]
    }
    return graph.addObject(.newObject(cls: cls, arguments: nothing), edits: edits)
  }

  private mutating func call(_ module: String, _ name: String, _ argument: Ref) -> Ref {
    let callable = cls(module, name)
    let arguments = graph.addTuple([argument])
    return graph.addObject(.reduce(callable: callable, arguments: arguments))
  }

  private mutating func size(_ sizes: [Int]) -> Ref {
    let items = sizes.map { graph.addInt($0) }
    let tuple = graph.addTuple(items)
    return call("torch", "Size", tuple)
  }

  /// The state of a `TensorProperties`, in a form that all versions accept.
  private mutating func properties(_ tensor: Tensor) -> Ref {
    let strided: Ref
    if let layout {
      strided = layout
    } else {
      strided = call("torch.serialization", "_get_layout", text("torch.strided"))
      layout = strided
    }
    let contiguous: Ref
    if let memoryFormat {
      contiguous = memoryFormat
    } else {
      contiguous = call(Self.module, "_MEM_FORMAT_ENCODING", graph.addInt(0))
      memoryFormat = contiguous
    }
    let items = [
      cls("torch", tensor.dtype.name), strided, graph.addBool(tensor.requiresGrad),
      contiguous, graph.addBool(false),
    ]
    let state = graph.addTuple(items)
    let cls = cls(Self.module, "TensorProperties")
    let nothing = graph.addTuple([])
    return graph.addObject(.newObject(cls: cls, arguments: nothing), edits: [.build(state)])
  }
}

extension Checkpoint {
  /// The records of an archive that contains one object of the checkpoint and all objects it refers
  /// to.
  ///
  /// A tensor is stored as a plain tensor, not as a parameter, with only the part of its storage
  /// that it uses.
  ///
  /// - Parameter key: the name used in error messages.
  /// - Throws: `CheckpointError`; `TensorError`.
  func archive(of ref: PickleGraph.Ref, _ tensor: Tensor?, key: String) throws -> [ZipRecord] {
    var part = try Checkpoint(StateDict())
    if let tensor {
      guard tensor.quantization == nil, !tensor.isMeta else {
        throw CheckpointError.cannotWrite(
          file: path,
          "a distributed checkpoint holds no quantized and no meta tensors (key "
            + "\(Text.quoted(key)))", hint: "\(.exclude) leaves it out")
      }
      var alone = tensor
      if tensor.isConjugate || tensor.isNegative
        || tensor.storage.byteCount != tensor.byteCount
      {
        alone = try Tensor(
          storage: Storage(tensor.resolvedSource(), name: tensor.storage.name),
          dtype: tensor.dtype, shape: tensor.shape)
      }
      alone.isParameter = false
      alone.requiresGrad = false
      alone.origin = nil
      part.graph.root = part.add(.tensor(alone))
    } else {
      part.graph.root = part.copy(ref, from: self)
    }
    part.isExtract = true
    return try part.records(folder: "archive").map { record in
      var record = record
      record.key = key
      return record
    }
  }
}
