internal import CkptPickle
public import CkptStateDicts
internal import CkptTensors

extension Checkpoint {
  /// The object at a path as plain values and tensors, such as an optimizer's state.
  ///
  /// - Throws: `CheckpointError` if there is no object, or it has more than a million objects or
  ///   more than 100 levels.
  public func plainValue(at path: String = "/") throws -> PlainValue {
    var left = 1_000_000
    return try plainValue(resolve(path), path, depth: 0, &left)
  }

  private func plainValue(
    _ ref: PickleGraph.Ref, _ path: String, depth: Int, _ left: inout Int
  ) throws -> PlainValue {
    left -= 1
    guard depth < 100, left >= 0 else {
      throw CheckpointError.badObject(
        file: self.path, path: path, "the object is too deep or too large to look into")
    }
    if tensor(of: ref) != nil { return readValue(ref) }
    switch graph[ref] {
    case .none: return .none
    case .bool(let value): return .bool(value)
    case .int(let value): return Int(exactly: value).map(PlainValue.int) ?? readValue(ref)
    case .float(let bits): return .float(Double(bitPattern: bits))
    case .string, .byteString: return graph.text(ref).map(PlainValue.string) ?? readValue(ref)
    case .tuple, .object:
      if let items = graph.sequence(ref), graph.attributes(of: ref).isEmpty {
        let values = try items.map { try plainValue($0, path, depth: depth + 1, &left) }
        let isTuple = graph.items(of: ref) != nil || graph.form(of: ref).kind == .record
        return isTuple ? .tuple(values) : .list(values)
      }
      if let counts = graph.counts(of: ref) {
        return .counter(
          try counts.map { (try plainValue($0, path, depth: depth + 1, &left), $1) })
      }
      guard let entries = graph.entries(of: ref) else { return readValue(ref) }
      return .dict(
        try entries.map { key, value in
          (
            try plainValue(key, path, depth: depth + 1, &left),
            try plainValue(value, path, depth: depth + 1, &left)
          )
        })
    default: return readValue(ref)
    }
  }

  private func readValue(_ ref: PickleGraph.Ref) -> PlainValue {
    switch value(ref) {
    case .tensor(let tensor): .tensor(tensor)
    case .object(let object): .object(object)
    }
  }

  /// Creates a checkpoint of plain values and tensors, as written by `torch.save`:
  ///
  /// ```swift
  /// let checkpoint = try Checkpoint(
  ///   .dict([
  ///     "model": PlainValue(model.stateDict()), "optimizer": optimizer.stateDict(),
  ///     "epoch": .int(5),
  ///   ]))
  /// try checkpoint.write(to: "training.pt")
  /// ```
  ///
  /// - Throws: `CheckpointError` for values that a pickle cannot represent.
  public init(_ value: PlainValue) throws {
    try self.init(StateDict())
    graph.root = try add(value, depth: 0)
  }

  private mutating func add(_ value: PlainValue, depth: Int) throws -> PickleGraph.Ref {
    guard depth < 100 else {
      throw CheckpointError.cannotWrite(
        file: path, "values are nested more than 100 deep", hint: nil)
    }
    switch value {
    case .none: return graph.add(.none)
    case .bool(let value): return graph.addBool(value)
    case .int(let value): return graph.addInt(value)
    case .float(let value): return graph.add(.float(value.bitPattern))
    case .string(let value): return graph.addString(value)
    case .tensor(let tensor): return add(.tensor(tensor))
    case .object(let object): return add(.object(object))
    case .tuple(let items):
      let refs = try items.map { try add($0, depth: depth + 1) }
      return graph.addTuple(refs)
    case .list(let items):
      let edits = try items.map { PickleGraph.Edit.append(try add($0, depth: depth + 1)) }
      return graph.addObject(.list, edits: edits)
    case .dict(let entries):
      let edits = try entries.map { key, value in
        let key = try add(key, depth: depth + 1)
        return PickleGraph.Edit.setItem(key: key, value: try add(value, depth: depth + 1))
      }
      return graph.addObject(.dict, edits: edits)
    case .counter(let counts):
      let edits = try counts.map { key, count in
        let key = try add(key, depth: depth + 1)
        return PickleGraph.Edit.setItem(key: key, value: graph.addInt(count))
      }
      let cls = graph.addGlobal("collections", "Counter")
      let arguments = graph.addTuple([graph.addObject(.dict, edits: edits)])
      return graph.addObject(.reduce(callable: cls, arguments: arguments))
    }
  }
}
