internal import CkptText
internal import CkptPickle
internal import CkptBytes
internal import CkptPlatform
internal import CkptTensors

/// One line of a checkpoint's object tree.
public struct ObjectLine: Sendable {
  /// The path of the object; `/` is the root.
  public let path: String
  /// The depth in the tree; the root's is 0.
  public let depth: Int
  /// The object's key, index, or attribute in its parent; empty for the root.
  public let step: String
  /// The kind: `dict`, `list`, `tensor`, `int`, `collections.OrderedDict`, …
  public let type: String
  /// A short description.
  public let summary: String
  /// The path where the same object occurred before; nil if it did not. The object is shared, or
  /// part of a cycle.
  public let sameAs: String?
  /// The number of children that are not listed.
  public let hiddenChildren: Int
}

extension Checkpoint {
  /// The records of an archive beside the objects, such as a TorchScript module's code, with their
  /// names without the archive's top folder and their sizes in bytes.
  public var records: [(name: String, byteCount: Int)] {
    document.otherRecords.map { ($0.name, $0.source.byteCount) }
  }

  /// The text of one of ``records``, which is not run.
  ///
  /// - Throws: `CheckpointError.noSuchObject`; `CheckpointError.badObject` if it is not text or is
  ///   too long.
  public func recordText(_ name: String) throws -> String {
    let record = document.otherRecords.first { $0.name.isExactly(name) }
    guard let record else {
      throw CheckpointError.noSuchObject(
        file: path, path: "the archive", step: name,
        there: document.otherRecords.prefix(12).map(\.name))
    }
    guard record.source.byteCount <= 16 << 20 else {
      throw CheckpointError.badObject(
        file: path, path: name, "the record has \(record.source.byteCount) bytes")
    }
    guard let text = String(validating: try record.source.allBytes(), as: UTF8.self) else {
      throw CheckpointError.badObject(file: path, path: name, "the record is no text")
    }
    return text
  }

  /// The object tree below `at`, as a list of lines from the top; tensors are summarized.
  ///
  /// - Parameters:
  ///   - depth: the maximum depth of the lines; deeper objects are counted in their parent's line.
  ///   - limit: the maximum number of children of an object that are listed.
  /// - Throws: `CheckpointError` if there is no object at the path.
  public func objectTree(
    at: String = "/", depth: Int = 3, limit: Int = 1000
  ) throws -> [ObjectLine] {
    var lines: [ObjectLine] = []
    // The path, type, and summary of objects that may be mentioned again, which is often done by
    // the thousand.
    var seen: [PickleGraph.Ref: (path: String, type: String, summary: String)] = [:]
    let start = ObjectPath(at).steps
    var open: [(ref: PickleGraph.Ref, steps: [String])] = [(try resolve(at), start)]
    while let (ref, steps) = open.popLast() {
      let path = ObjectPath(steps: steps).written
      let level = steps.count - start.count
      let isTensor = tensor(of: ref) != nil
      let known = canBeShared(ref) ? seen[ref] : nil
      let children = isTensor || known != nil ? [] : graph.children(of: ref)
      let (type, summary) =
        known.map { ($0.type, $0.summary) } ?? (self.type(of: ref), self.summary(of: ref))
      if known == nil { seen[ref] = (path, type, summary) }
      let shown = known != nil || level >= depth ? 0 : min(children.count, limit)
      lines.append(
        ObjectLine(
          path: path, depth: level, step: steps.last ?? "", type: type,
          summary: summary, sameAs: known?.path,
          hiddenChildren: known != nil ? 0 : children.count - shown))
      for (step, child) in children.prefix(shown).reversed() {
        open.append((child, steps + [step]))
      }
    }
    return lines
  }

  /// Whether mentioning the object again refers to what was listed before: it can be changed, or
  /// has more in it than a few numbers.
  private func canBeShared(_ ref: PickleGraph.Ref) -> Bool {
    guard case .tuple(_, let count) = graph[ref] else { return graph.body(of: ref) != nil }
    guard count <= 32, let items = graph.items(of: ref) else { return true }
    return items.contains { item in
      if case .tuple(_, let count) = graph[item] { return count > 0 }
      return graph.body(of: item) != nil
    }
  }

  /// The constructors that protocol 2 uses for types that have an opcode in later protocols.
  private static let builtinTypes = [
    "_codecs.encode": "bytes", "__builtin__.set": "set", "builtins.set": "set",
    "__builtin__.frozenset": "frozenset", "builtins.frozenset": "frozenset",
    "__builtin__.bytearray": "bytearray", "builtins.bytearray": "bytearray",
  ]

  /// The name of the object's type in Python.
  func type(of ref: PickleGraph.Ref) -> String {
    if let tensor = tensor(of: ref) {
      return isArray(ref) ? "numpy.ndarray" : tensor.isParameter ? "Parameter" : "tensor"
    }
    switch graph[ref] {
    case .none: return "None"
    case .bool: return "bool"
    case .int, .bigInt: return "int"
    case .float: return "float"
    case .string, .byteString: return "str"
    case .bytes: return "bytes"
    case .byteArray: return "bytearray"
    case .global, .extensionCode: return "name"
    case .tuple: return "tuple"
    case .persistentID: return "storage"
    case .object:
      switch graph.body(of: ref)?.construction {
      case .list: return "list"
      case .dict: return "dict"
      case .set: return "set"
      case .frozenSet: return "frozenset"
      default:
        let name = graph.className(of: ref) ?? "object"
        return Self.builtinTypes[name] ?? Text.printable(name)
      }
    }
  }

  /// A short description of the object.
  func summary(of ref: PickleGraph.Ref) -> String {
    if tensor(of: ref) == nil, let outer = tensorSubclasses.outer(of: ref),
      outer.className != "sparse", outer.shape != nil || outer.dtype != nil
    {
      return Text.printable(outer.className) + (outer.dtype.map { " " + $0.name } ?? "")
        + (outer.shape.map { " \($0)" } ?? "")
    }
    if let tensor = tensor(of: ref) {
      let kind = isArray(ref) ? "array" : tensor.isParameter ? "Parameter" : "tensor"
      return "\(kind) \(tensor.dtype.name) "
        + "\(tensor.shape)" + (tensor.isMeta ? " on meta" : "")
    }
    switch graph[ref] {
    case .none: return "None"
    case .bool(let value): return value ? "True" : "False"
    case .int, .bigInt: return graph.decimal(ref).map(Text.printable) ?? "int"
    case .float(let bits): return "\(Double(bitPattern: bits))"
    case .string(let run), .byteString(let run):
      let text = String(decoding: graph.bytes(run).prefix(300), as: UTF8.self)
      return Text.quoted(text) + (run.count > 300 ? "… \(run.count) bytes" : "")
    case .bytes(let run), .byteArray(let run): return "\(run.count) bytes"
    case .global: return Text.printable(graph.globalName(ref) ?? "")
    case .extensionCode(let code): return "extension \(code)"
    case .tuple(_, let count): return "tuple of \(count)"
    case .persistentID:
      guard let storage = storage(of: ref) else { return "storage" }
      return "storage of \(storage.byteCount) bytes"
    case .object:
      let type = type(of: ref)
      if let entries = graph.entries(of: ref) { return "\(type) of \(entries.count)" }
      if let sequence = graph.sequence(ref) { return "\(type) of \(sequence.count)" }
      if type.hasPrefix("torch._utils._rebuild_"), let arguments = constructorArguments(ref) {
        return sparseSummary(type, arguments)
      }
      if let count = builtinCount(of: ref, type) { return count }
      return callSummary(ref, type)
    }
  }

  /// The size of a set or of bytes, as text.
  private func builtinCount(of ref: PickleGraph.Ref, _ type: String) -> String? {
    switch type {
    case "bytes": return plainBytes(ref).map { "\($0.count) bytes" } ?? "bytes"
    case "bytearray":
      // bytearray(bytes), or bytearray(text, 'latin-1').
      let content = constructorArguments(ref)?.first
      let count = content.flatMap { plainBytes($0)?.count ?? graph.text($0)?.unicodeScalars.count }
      return "\(count ?? 0) bytes"
    case "set", "frozenset":
      return graph.members(of: ref).map { "\(type) of \($0.count)" }
    default: return nil
    }
  }

  /// A call as text, such as `pathlib.PurePosixPath("a", "b")`; it is not run.
  private func callSummary(_ ref: PickleGraph.Ref, _ type: String) -> String {
    guard let arguments = constructorArguments(ref), !arguments.isEmpty, !isReconstructed(ref)
    else {
      return type + (graph.parts(of: ref).count > 2 || hasArguments(ref) ? "(...)" : "()")
    }
    if let value = NumpyObjects(graph: graph).scalar(ref) {
      return "numpy scalar " + value.description
    }
    let shown = arguments.prefix(4).map { argument in
      switch graph[argument] {
      case .tuple:
        graph.ints(argument).map { ints in
          "(" + ints.map(String.init).joined(separator: ", ") + (ints.count == 1 ? ",)" : ")")
        } ?? "…"
      case .object, .persistentID: "…"
      default: summary(of: argument)
      }
    }
    return type + "(" + shown.joined(separator: ", ") + (arguments.count > 4 ? ", …" : "") + ")"
  }

  /// Whether the object is constructed in the way of protocols 0 and 1, in which the class is an
  /// argument.
  private func isReconstructed(_ ref: PickleGraph.Ref) -> Bool {
    guard case .reduce(let callable, _) = graph.body(of: ref)?.construction else { return false }
    return graph.global(callable)?.name == "_reconstructor"
  }

  private func hasArguments(_ ref: PickleGraph.Ref) -> Bool {
    switch graph.body(of: ref)?.construction {
    case .newObject(_, let arguments), .newObjectWithKeywords(_, let arguments, _):
      graph.items(of: arguments)?.isEmpty == false
    default: false
    }
  }

  func constructorArguments(_ ref: PickleGraph.Ref) -> [PickleGraph.Ref]? {
    guard case .reduce(_, let arguments) = graph.body(of: ref)?.construction else { return nil }
    return graph.items(of: arguments).map(Array.init)
  }

  private func sparseSummary(_ type: String, _ arguments: [PickleGraph.Ref]) -> String {
    if type.hasSuffix("_rebuild_sparse_tensor"), let layout = arguments.first,
      let name = constructorArguments(layout)?.first.flatMap(graph.text)
    {
      return "tensor of layout \(Text.printable(name))"
    }
    return type.hasSuffix("_rebuild_nested_tensor") ? "nested tensor" : type
  }
}
