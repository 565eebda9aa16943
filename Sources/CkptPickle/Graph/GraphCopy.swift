extension PickleGraph {
  /// The objects that an object contains or is constructed from; empty for plain values. The order
  /// is unspecified.
  package func parts(of ref: Ref) -> [Ref] {
    switch self[ref] {
    case .tuple: return items(of: ref).map(Array.init) ?? []
    case .persistentID(let id): return [id]
    case .object:
      guard let body = body(of: ref) else { return [] }
      var parts: [Ref]
      switch body.construction {
      case .list, .dict, .set: parts = []
      case .frozenSet(let items): parts = [items]
      case .reduce(let callable, let arguments): parts = [callable, arguments]
      case .newObject(let cls, let arguments): parts = [cls, arguments]
      case .newObjectWithKeywords(let cls, let arguments, let keywords):
        parts = [cls, arguments, keywords]
      }
      for edit in body.edits {
        switch edit {
        case .append(let item), .add(let item), .build(let item), .call(let item):
          parts.append(item)
        case .setItem(let key, let value): parts += [key, value]
        }
      }
      return parts
    default: return []
    }
  }

  /// Replaces the object `new` by a copy of the object `ref` of another graph.
  ///
  /// - Parameter translate: returns the object in this graph that corresponds to an object of the
  ///   other graph.
  package mutating func copy(
    _ ref: Ref, of other: PickleGraph, to new: Ref, _ translate: (Ref) -> Ref
  ) {
    func own(_ run: Bytes) -> Bytes {
      let new = intern(other.bytes(run))
      if let region = other.outside[run.start] { outside[new.start] = region }
      return new
    }
    switch other[ref] {
    case .none, .bool, .int, .float, .extensionCode: replace(new, with: other[ref])
    case .bigInt(let run): replace(new, with: .bigInt(own(run)))
    case .string(let run): replace(new, with: .string(own(run)))
    case .byteString(let run): replace(new, with: .byteString(own(run)))
    case .bytes(let run): replace(new, with: .bytes(own(run)))
    case .byteArray(let run): replace(new, with: .byteArray(own(run)))
    case .global:
      guard let (module, name) = other.nameBytes(ref) else { return }
      replace(new, with: global(own(module), own(name)))
    case .persistentID(let id): replace(new, with: .persistentID(translate(id)))
    case .tuple:
      replace(new, with: tuple((other.items(of: ref) ?? []).map(translate)))
    case .object:
      guard let body = other.body(of: ref) else { return }
      let construction: Construction =
        switch body.construction {
        case .list, .dict, .set: body.construction
        case .frozenSet(let items): .frozenSet(items: translate(items))
        case .reduce(let callable, let arguments):
          .reduce(callable: translate(callable), arguments: translate(arguments))
        case .newObject(let cls, let arguments):
          .newObject(cls: translate(cls), arguments: translate(arguments))
        case .newObjectWithKeywords(let cls, let arguments, let keywords):
          .newObjectWithKeywords(
            cls: translate(cls), arguments: translate(arguments), keywords: translate(keywords))
        }
      let edits: [Edit] = body.edits.map { edit in
        switch edit {
        case .append(let item): .append(translate(item))
        case .setItem(let key, let value): .setItem(key: translate(key), value: translate(value))
        case .add(let item): .add(translate(item))
        case .build(let state): .build(translate(state))
        case .call(let item): .call(translate(item))
        }
      }
      replaceBody(of: new, with: Body(construction, edits: edits))
    }
  }
}
