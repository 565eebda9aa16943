extension PickleGraph {
  /// Replaces objects that only later protocols have opcodes for by the constructions that Python's
  /// pickler uses in protocol 2.
  ///
  /// Objects keep their numbers, so references to them stay valid.
  mutating func lowerToProtocol2() {
    var globals: [String: Ref] = [:]
    func named(_ module: String, _ name: String, _ graph: inout PickleGraph) -> Ref {
      let key = module + "\n" + name
      if let ref = globals[key] { return ref }
      let ref = graph.addGlobal(module, name)
      globals[key] = ref
      return ref
    }
    var latin1: Ref?
    for slot in nodes.indices {
      let ref = Ref(slot)
      switch nodes[slot] {
      case .bytes(let run):
        if run.count == 0 {
          let arguments = addTuple([])
          let callable = named("__builtin__", "bytes", &self)
          replaceBody(of: ref, with: Body(.reduce(callable: callable, arguments: arguments)))
        } else {
          let encoding = latin1 ?? addString("latin1")
          latin1 = encoding
          let text = add(.string(intern(PickleText.utf8(latin1: pool[run.range]))))
          let arguments = addTuple([text, encoding])
          let callable = named("_codecs", "encode", &self)
          replaceBody(of: ref, with: Body(.reduce(callable: callable, arguments: arguments)))
        }
      case .byteArray(let run):
        var items: [Ref] = []
        if run.count > 0 {
          let text = add(.string(intern(PickleText.utf8(latin1: pool[run.range]))))
          items = [text, addString("latin-1")]
        }
        let arguments = addTuple(items)
        let callable = named("__builtin__", "bytearray", &self)
        replaceBody(of: ref, with: Body(.reduce(callable: callable, arguments: arguments)))
      case .global: lowerDottedGlobal(ref)
      case .object(let index): lower(ref, bodies[Int(index)]) { named($0, $1, &$2) }
      default: break
      }
    }
  }

  private mutating func lower(
    _ ref: Ref, _ body: Body, named: (String, String, inout PickleGraph) -> Ref
  ) {
    switch body.construction {
    case .set:
      // The items become a list argument; the other edits follow.
      let items = body.edits.compactMap { edit -> Edit? in
        if case .add(let item) = edit { .append(item) } else { nil }
      }
      let rest = body.edits.filter { if case .add = $0 { false } else { true } }
      let arguments = addTuple([addObject(.list, edits: items)])
      let callable = named("__builtin__", "set", &self)
      replaceBody(
        of: ref, with: Body(.reduce(callable: callable, arguments: arguments), edits: rest))
    case .frozenSet(let items):
      let list = addObject(.list, edits: (self.items(of: items) ?? []).map { .append($0) })
      let callable = named("__builtin__", "frozenset", &self)
      let arguments = addTuple([list])
      replaceBody(
        of: ref, with: Body(.reduce(callable: callable, arguments: arguments), edits: body.edits))
    case .newObjectWithKeywords(let cls, let arguments, let keywords):
      // functools.partial(cls.__new__, cls, *arguments, **keywords)()
      let new = addObject(
        .reduce(
          callable: named("__builtin__", "getattr", &self),
          arguments: addTuple([cls, addString("__new__")])))
      let partialClass = named("functools", "partial", &self)
      let partial = addObject(.reduce(callable: partialClass, arguments: addTuple([new])))
      let positional = addTuple([cls] + Array(items(of: arguments) ?? []))
      let state = addTuple([new, positional, keywords, add(.none)])
      _ = edit(partial, .build(state))
      replaceBody(
        of: ref,
        with: Body(.reduce(callable: partial, arguments: addTuple([])), edits: body.edits))
    case .list, .dict, .reduce, .newObject: break
    }
  }

  /// Replaces a nested name `Outer.Inner` by `getattr(Outer, 'Inner')`, since protocol 2 does not
  /// support dots in names.
  private mutating func lowerDottedGlobal(_ ref: Ref) {
    guard declaredProtocol >= 4, let (module, name) = nameBytes(ref),
      pool[name.range].contains(0x2E)
    else { return }
    let parts = pool[name.range].split(separator: 0x2E, omittingEmptySubsequences: false)
    guard !parts.contains(where: \.isEmpty), parts.count <= 100 else { return }
    let getattr = addGlobal("__builtin__", "getattr")
    var parent = addGlobal(module, intern(parts[0]))
    for part in parts[1..<parts.count - 1] {
      let arguments = addTuple([parent, add(.string(intern(part)))])
      parent = addObject(.reduce(callable: getattr, arguments: arguments))
    }
    let arguments = addTuple([parent, add(.string(intern(parts[parts.count - 1])))])
    replaceBody(of: ref, with: Body(.reduce(callable: getattr, arguments: arguments)))
  }
}
