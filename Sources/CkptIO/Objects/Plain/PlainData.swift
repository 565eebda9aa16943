internal import CkptPickle
internal import CkptBytes
internal import CkptStateDicts
internal import CkptTensors

/// An object that was replaced by plain data.
public struct PlainChange: Sendable, Hashable {
  /// The path of the object.
  public let path: String
  /// A short description of the old object and its replacement.
  public let what: String
}

extension Checkpoint {
  /// Removes everything that `torch.load(weights_only=True)` would reject, or converts it to plain
  /// data.
  ///
  /// Objects with attributes and mappings become dicts, sequences become lists, NumPy arrays become
  /// tensors, NumPy numbers become ints and floats, paths and names become strs, and Python 2 text
  /// that is not UTF-8 becomes bytes. Other objects are replaced by None.
  ///
  /// - Returns: all changes.
  /// - Throws: `CheckpointError.cannotBePlain` for tensors that are not equivalent to one plain
  ///   tensor, and for keys and items of sets that cannot be converted.
  public mutating func makePlain() throws -> [PlainChange] {
    var changes: [PlainChange] = []
    var seen: Set<PickleGraph.Ref> = []
    let paths = ObjectPaths(graph)
    for ref in recursiveTuples() {
      let items = graph.items(of: ref).map(Array.init) ?? []
      let path = paths.path(to: ref)
      graph.replaceBody(of: ref, with: .init(.list, edits: items.map { .append($0) }))
      changes.append(PlainChange(path: path, what: "a tuple that holds itself became a list"))
    }
    try refuseTensors(paths)
    var empty: Set<PickleGraph.Ref> = []
    var open = [graph.root]
    while let ref = open.popLast() {
      guard seen.insert(ref).inserted else { continue }
      if document.format != .torchScript, tensor(of: ref) == nil, isModule(ref) {
        let path = paths.path(to: ref)
        let before = summary(of: ref)
        let stateDict = try moduleStateDict(ref, at: path).stateDict
        replaceByDict(ref, stateDict.elements.map { (graph.addString($0.key), add($0.value)) })
        changes.append(PlainChange(path: path, what: "\(before) became its state dict"))
      } else if let change = refusal(of: ref) {
        let path = paths.path(to: ref)
        let before = summary(of: ref)
        let after = replace(ref, by: change)
        if case .none = graph[ref], tensor(of: ref) == nil { empty.insert(ref) }
        changes.append(PlainChange(path: path, what: "\(before) became \(after)"))
      } else {
        respell(ref)
      }
      open += plainParts(of: ref).reversed()
    }
    try refuseKeys(in: seen, empty: empty, paths)
    return changes
  }

  /// Tuples that contain themselves, which need an opcode that is rejected.
  private func recursiveTuples() -> [PickleGraph.Ref] {
    var found: Set<PickleGraph.Ref> = []
    var isOpen: [PickleGraph.Ref: Bool] = [graph.root: true]
    var path: [(ref: PickleGraph.Ref, parts: ArraySlice<PickleGraph.Ref>)] = [
      (graph.root, graph.parts(of: graph.root)[...])
    ]
    while let (ref, rest) = path.popLast() {
      var parts = rest
      guard let next = parts.popFirst() else {
        isOpen[ref] = false
        continue
      }
      path.append((ref, parts))
      if let open = isOpen[next] {
        if open, graph.items(of: next) != nil { found.insert(next) }
        continue
      }
      isOpen[next] = true
      path.append((next, graph.parts(of: next)[...]))
    }
    return found.sorted { $0.index < $1.index }
  }

  private enum Refusal {
    case name, object, longInt, setClass, array, oldText
  }

  private func name(_ ref: PickleGraph.Ref) -> String? {
    graph.global(ref).map { name in
      (name.module == "__builtin__" ? "builtins" : name.module) + "." + name.name
    }
  }

  private func refusal(of ref: PickleGraph.Ref) -> Refusal? {
    if tensor(of: ref) != nil, isArray(ref) { return .array }
    switch graph[ref] {
    case .byteString: return graph.text(ref) == nil ? .oldText : nil
    case .global: return AllowedNames.contains(name(ref) ?? "") ? nil : .name
    case .extensionCode: return .object
    // Longer ints need an opcode that is rejected.
    case .bigInt(let run): return run.count > 255 ? .longInt : nil
    case .object:
      guard let body = graph.body(of: ref) else { return nil }
      let builds = body.edits.contains {
        switch $0 {
        case .build, .call: true
        default: false
        }
      }
      switch body.construction {
      case .list, .dict, .set: return builds ? .object : nil
      case .frozenSet: return .setClass
      case .newObject, .newObjectWithKeywords: return .object
      case .reduce(let callable, let arguments):
        let callee = name(callable) ?? ""
        if callee == "builtins.bytes", graph.isEmptyBytes(ref) { return nil }
        if callee == "builtins.frozenset" { return .setClass }
        guard AllowedNames.contains(callee) else { return .object }
        if callee == "torch._tensor._rebuild_from_type_v2" {
          // The first two arguments are a function and a class; both must be allowed.
          let known = (graph.items(of: arguments) ?? []).prefix(2).allSatisfy {
            AllowedNames.contains(name($0) ?? "")
          }
          return known ? nil : .object
        }
        let appends = body.edits.contains { if case .append = $0 { true } else { false } }
        return appends || (builds && callee != "collections.OrderedDict") ? .object : nil
      }
    default: return nil
    }
  }

  /// The objects that must be plain for `ref` to be plain.
  private func plainParts(of ref: PickleGraph.Ref) -> [PickleGraph.Ref] {
    switch graph[ref] {
    case .persistentID: return []
    case .object:
      if case .reduce(let callable, _) = graph.body(of: ref)?.construction {
        return graph.parts(of: ref).filter { $0 != callable }
      }
      return graph.parts(of: ref)
    default: return graph.parts(of: ref)
    }
  }

  /// Replaces an object by plain data; returns a description of it.
  private mutating func replace(_ ref: PickleGraph.Ref, by refusal: Refusal) -> String {
    switch refusal {
    case .array:
      // The writer replaces this None by a tensor.
      guard var tensor = tensor(of: ref) else { return "None" }
      tensor.origin = nil
      graph.replace(ref, with: .none)
      addedTensors[ref.index] = tensor
      return "a tensor"
    case .oldText:
      guard case .byteString(let run) = graph[ref] else { return "None" }
      graph.replace(ref, with: .bytes(run))
      respell(ref)
      return "bytes"
    case .name:
      let run = graph.intern((graph.globalName(ref) ?? "").utf8)
      graph.replace(ref, with: .string(run))
      return "a str"
    case .longInt:
      let run = graph.intern((graph.decimal(ref) ?? "").utf8)
      graph.replace(ref, with: .string(run))
      return "a str"
    case .setClass:
      // The items of a frozenset are a list in protocol 2 and a tuple in protocol 4.
      guard let body = graph.body(of: ref) else { return "None" }
      let arguments: PickleGraph.Ref
      switch body.construction {
      case .frozenSet(let items):
        let list = graph.addObject(.list, edits: (graph.sequence(items) ?? []).map { .append($0) })
        arguments = graph.addTuple([list])
      case .reduce(_, let given): arguments = given
      default: return "None"
      }
      let callable = global("__builtin__", "set")
      graph.replaceBody(of: ref, with: .init(.reduce(callable: callable, arguments: arguments)))
      return "a set"
    case .object:
      return replaceObject(ref)
    }
  }

  private mutating func replaceObject(_ ref: PickleGraph.Ref) -> String {
    let cls = graph.className(of: ref) ?? ""
    var arguments: [PickleGraph.Ref] = []
    if case .reduce(_, let tuple) = graph.body(of: ref)?.construction {
      arguments = graph.items(of: tuple).map(Array.init) ?? []
    }
    if tensor(of: ref) != nil, let parts = tensorSubclasses.parts(of: ref),
      let local = tensorSubclasses.wholeLocalTensor(parts)
    {
      graph.replace(ref, with: graph[local])
      return "a plain tensor"
    }
    if cls == "torch._tensor._rebuild_from_type_v2" || cls == "torch._tensor._rebuild_from_type",
      arguments.count >= 3,
      AllowedNames.contains(name(arguments[0]) ?? "")
    {
      graph.replaceBody(
        of: ref, with: .init(.reduce(callable: arguments[0], arguments: arguments[2])))
      return "a plain tensor"
    }
    if let scalar = NumpyObjects(graph: graph).scalar(ref) { return replace(ref, by: scalar) }
    if cls.hasPrefix("pathlib."), case let parts = arguments.compactMap(graph.text),
      parts.count == arguments.count, let path = PlainPath.text(cls: cls, arguments: parts)
    {
      let run = graph.intern(path.utf8)
      graph.replace(ref, with: .string(run))
      return "a str"
    }
    let isDateTime = cls.hasPrefix("datetime.") || cls.hasPrefix("numpy.")
    if let entries = graph.entries(of: ref) {
      return replaceByDict(ref, entries)
    } else if let items = graph.sequence(ref) {
      graph.replaceBody(of: ref, with: .init(.list, edits: items.map { .append($0) }))
      return "a list"
    } else if !isDateTime, case let attributes = graph.attributes(of: ref), !attributes.isEmpty {
      return replaceByDict(ref, attributes)
    }
    graph.replace(ref, with: .none)
    return "None"
  }

  @discardableResult
  private mutating func replaceByDict(
    _ ref: PickleGraph.Ref, _ entries: [(key: PickleGraph.Ref, value: PickleGraph.Ref)]
  ) -> String {
    graph.replaceBody(
      of: ref, with: .init(.dict, edits: entries.map { .setItem(key: $0.key, value: $0.value) }))
    return "a dict"
  }

  private mutating func replace(_ ref: PickleGraph.Ref, by scalar: NumpyScalar) -> String {
    switch scalar {
    case .bool(let value): graph.replace(ref, with: .bool(value))
    case .int(let value): graph.replace(ref, with: .int(value))
    case .large(let value):
      if let int = graph.addInt(decimal: "\(value)") { graph.replace(ref, with: graph[int]) }
    case .float(let value): graph.replace(ref, with: .float(value.bitPattern))
    case .complex(let real, let imaginary):
      let parts = [real, imaginary].map { graph.add(.float($0.bitPattern)) }
      let arguments = graph.addTuple(parts)
      let callable = global("__builtin__", "complex")
      graph.replaceBody(of: ref, with: .init(.reduce(callable: callable, arguments: arguments)))
    case .text(let text):
      let run = graph.intern(text.utf8)
      graph.replace(ref, with: .string(run))
      return "a str"
    case .bytes(let bytes):
      let run = graph.intern(bytes)
      graph.replace(ref, with: .bytes(run))
      respell(ref)
      return "bytes"
    }
    return "a number"
  }

  /// Converts a plain value to a form that `torch.load(weights_only=True)` reads: it does not
  /// support the opcode of a long str of Python 2, nor the class that Python calls for empty bytes.
  private mutating func respell(_ ref: PickleGraph.Ref) {
    switch graph[ref] {
    case .byteString(let run): graph.replace(ref, with: .string(run))
    case .bytes(let run) where run.count == 0: break
    case .object where graph.isEmptyBytes(ref): break
    default: return
    }
    if case .string = graph[ref] { return }
    let arguments = graph.addTuple([graph.addString(""), graph.addString("latin1")])
    let callable = global("_codecs", "encode")
    graph.replaceBody(of: ref, with: .init(.reduce(callable: callable, arguments: arguments)))
  }

  /// The bytes of a bytes object, including the form of protocols 0 to 2:
  /// `_codecs.encode(text, 'latin1')`.
  func plainBytes(_ ref: PickleGraph.Ref) -> [UInt8]? {
    if case .byteString = graph[ref] { return nil }
    guard graph.outside(ref) == nil else { return nil }
    return try? NumpyObjects(graph: graph).bytes(ref, byteCount: 0)?.allBytes()
  }
}
