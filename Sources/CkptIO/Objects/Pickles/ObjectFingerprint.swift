internal import CkptPickle
internal import CkptStateDicts
internal import CkptTensors

extension Checkpoint {
  /// An exact description of an object as text, and the tensors in it.
  ///
  /// Two objects with the same text and tensors are equal. Equal objects with different
  /// representations (another protocol, another order of a set) may have different texts, but
  /// different objects never have the same one.
  ///
  /// - Returns: the description; nil if the text would exceed 1 MB.
  func content(of ref: PickleGraph.Ref) -> ObjectContent? {
    var writer = ContentWriter(checkpoint: self)
    return writer.write(ref)
  }
}

private struct ContentWriter {
  typealias Ref = PickleGraph.Ref

  private enum Task {
    case write(Ref, name: [String])
    case text(String)
    case leave(Ref)
  }

  let checkpoint: Checkpoint
  private var text: [UInt8] = []
  private var tensors: [(name: String, tensor: Tensor)] = []
  private var tasks: [Task] = []
  /// The objects that are currently being written, with the number of objects begun before them.
  private var open: [Ref: Int] = [:]

  private static let limit = 1 << 20

  init(checkpoint: Checkpoint) { self.checkpoint = checkpoint }

  mutating func write(_ start: Ref) -> ObjectContent? {
    tasks = [.write(start, name: [])]
    while let task = tasks.popLast() {
      guard text.count <= Self.limit, tasks.count <= Self.limit else { return nil }
      switch task {
      case .text(let text): self.text += text.utf8
      case .leave(let ref): open[ref] = nil
      case .write(let ref, let name):
        guard put(ref, name) else { return nil }
      }
    }
    return ObjectContent(description: String(decoding: text, as: UTF8.self), tensors: tensors)
  }

  private mutating func put(_ word: String) { text += word.utf8 }

  /// Writes bytes preceded by their length, so that their end is unambiguous; in hexadecimal digits
  /// if they are not text.
  private mutating func put(_ kind: String, _ run: PickleGraph.Bytes, isText: Bool) -> Bool {
    guard run.count <= Self.limit else { return false }
    put("\(kind)\(run.count):")
    let bytes = checkpoint.graph.bytes(run)
    if isText {
      text += bytes
    } else {
      for byte in bytes { text += String(byte, radix: 16).utf8 + [UInt8(ascii: ".")] }
    }
    put(" ")
    return true
  }

  /// Writes one object; returns false if it cannot be described.
  private mutating func put(_ ref: Ref, _ name: [String]) -> Bool {
    let graph = checkpoint.graph
    if let tensor = checkpoint.tensor(of: ref) {
      put("\(checkpoint.type(of: ref)) \(tensor.dtype.name) \(tensor.shape) ")
      if tensor.isParameter { put("grad \(tensor.requiresGrad) ") }
      tensors.append((ObjectPath(steps: name).written, tensor))
      return true
    }
    guard graph.outside(ref) == nil else { return false }
    switch graph[ref] {
    case .none: put("None ")
    case .bool(let value): put("\(value) ")
    case .int, .bigInt:
      guard let digits = graph.decimal(ref) else { return false }
      put("\(digits) ")
    case .float(let bits): put("f\(String(bits, radix: 16)) ")
    case .string(let run):
      return put("s", run, isText: String(validating: graph.bytes(run), as: UTF8.self) != nil)
    case .byteString(let run):
      let isText = graph.text(ref) != nil
      return put(isText ? "s" : "o", run, isText: isText)
    case .bytes(let run): return put("b", run, isText: false)
    case .byteArray(let run): return put("a", run, isText: false)
    case .global: put("\(plainName(ref)) ")
    case .extensionCode(let code): put("extension\(code) ")
    case .tuple:
      let items = graph.items(of: ref).map(Array.init) ?? []
      begin(ref, "(", name, children: items.enumerated().map { ("", $1, "\($0)") }, ")")
    case .persistentID:
      guard let storage = checkpoint.storage(of: ref),
        let bytes = try? Tensor(
          storage: storage, dtype: .uint8, shape: [storage.byteCount])
      else { return false }
      put("storage \(storage.byteCount) ")
      tensors.append((ObjectPath(steps: name).written, bytes))
    case .object:
      guard let body = graph.body(of: ref) else { return false }
      put(ref, body, name)
    }
    return true
  }

  private func plainName(_ ref: Ref) -> String {
    let name = checkpoint.graph.globalName(ref) ?? ""
    let plain =
      name.hasPrefix("__builtin__.") ? "builtins." + name.dropFirst("__builtin__.".count) : name
    return "\(plain.utf8.count):\(plain)"
  }

  private mutating func put(_ ref: Ref, _ body: PickleGraph.Body, _ name: [String]) {
    var children: [(mark: String, ref: Ref, step: String?)] = []
    let kind: String
    switch body.construction {
    case .list: kind = "["
    case .dict: kind = "{"
    case .set: kind = "set{"
    case .frozenSet(let items): (kind, children) = ("frozenset{", [("", items, nil)])
    case .reduce(let callable, let arguments):
      (kind, children) = ("call{", [("", callable, nil), ("", arguments, nil)])
    case .newObject(let cls, let arguments):
      (kind, children) = ("new{", [("", cls, nil), ("", arguments, nil)])
    case .newObjectWithKeywords(let cls, let arguments, let keywords):
      (kind, children) = ("new{", [("", cls, nil), ("", arguments, nil), ("", keywords, nil)])
    }
    var count = 0
    for edit in body.edits {
      switch edit {
      case .append(let item), .add(let item):
        children.append(("+", item, "\(count)"))
        count += 1
      case .setItem(let key, let value):
        children.append(("=", key, nil))
        children.append((":", value, checkpoint.graph.step(for: key)))
      case .build(let state): children.append(("!", state, nil))
      case .call(let call): children.append(("~", call, nil))
      }
    }
    begin(ref, kind, name, children: children, "}")
  }

  private mutating func begin(
    _ ref: Ref, _ start: String, _ name: [String],
    children: [(mark: String, ref: Ref, step: String?)], _ end: String
  ) {
    // An object inside itself is represented by the number of levels to it.
    if let known = open[ref] {
      put("^\(open.count - known) ")
      return
    }
    open[ref] = open.count
    put(start)
    tasks.append(.leave(ref))
    tasks.append(.text(end))
    for child in children.reversed() {
      tasks.append(.write(child.ref, name: child.step.map { name + [$0] } ?? name))
      if !child.mark.isEmpty { tasks.append(.text(child.mark)) }
    }
  }
}
