internal import PickleFormat

// What the pickle's objects are to Python: mappings, sequences, objects with attributes.
extension PickleGraph {
  /// The entries of a dict or of an object that is filled like one, in Python's order; nil for others.
  func entries(of ref: Ref) -> [(key: Ref, value: Ref)]? {
    guard let body = body(of: ref) else { return nil }
    var entries: [(key: Ref, value: Ref)] = []
    entries.reserveCapacity(body.edits.count)
    for edit in body.edits {
      if case .setItem(let key, let value) = edit { entries.append((key, value)) }
    }
    if case .dict = body.construction { return unique(entries) }
    if entries.isEmpty, !isMapping(body.construction) { return nil }
    return unique(entries)
  }

  /// Whether an object without items is an empty mapping all the same.
  private func isMapping(_ construction: Construction) -> Bool {
    let maker: Ref
    switch construction {
    case .reduce(let callable, _): maker = callable
    case .newObject(let cls, _), .newObjectWithKeywords(let cls, _, _): maker = cls
    default: return false
    }
    guard let (module, name) = nameBytes(maker),
      bytes(module).elementsEqual("collections".utf8)
    else { return false }
    return ["OrderedDict", "defaultdict", "Counter"].contains {
      bytes(name).elementsEqual($0.utf8)
    }
  }

  /// What a `collections.Counter` counts, as `torch.save` writes one: made from a dict. Nil for others, and
  /// for one whose counts are no ints.
  func counts(of ref: Ref) -> [(key: Ref, count: Int)]? {
    guard let body = body(of: ref), case .reduce(let callable, let arguments) = body.construction,
      let maker = global(callable), maker == ("collections", "Counter"), body.edits.isEmpty,
      let arguments = items(of: arguments), arguments.count <= 1
    else { return nil }
    guard let argument = arguments.first else { return [] }
    guard let made = self.body(of: argument), case .dict = made.construction,
      let entries = entries(of: argument)
    else { return nil }
    var result: [(key: Ref, count: Int)] = []
    for (key, value) in entries {
      guard let count = int(value) else { return nil }
      result.append((key, count))
    }
    return result
  }

  /// A key that is set twice keeps its first place and its last value.
  private func unique(_ entries: [(key: Ref, value: Ref)]) -> [(key: Ref, value: Ref)] {
    guard mayRepeat(entries) else { return entries }
    var places: [[UInt8]: Int] = [:]
    var result: [(key: Ref, value: Ref)] = []
    result.reserveCapacity(entries.count)
    for entry in entries {
      guard case .string(let run) = self[entry.key] else {
        result.append(entry)
        continue
      }
      let bytes = Array(bytes(run))
      if let place = places[bytes] {
        result[place].value = entry.value
      } else {
        places[bytes] = result.count
        result.append(entry)
      }
    }
    return result
  }

  /// Whether two keys could be equal: cheap, since nearly always none are.
  private func mayRepeat(_ entries: [(key: Ref, value: Ref)]) -> Bool {
    guard entries.count > 1 else { return false }
    var hashes: [UInt64] = []
    hashes.reserveCapacity(entries.count)
    for (key, _) in entries {
      guard case .string(let run) = self[key] else { continue }
      // FNV-1a; a collision only costs the exact comparison.
      var hash: UInt64 = 0xCBF2_9CE4_8422_2325
      for byte in bytes(run) { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
      hashes.append(hash)
    }
    hashes.sort()
    return zip(hashes, hashes.dropFirst()).contains { $0 == $1 }
  }

  /// The value of a str key in a mapping.
  func value(of key: String, in ref: Ref) -> Ref? {
    entries(of: ref)?.last { text($0.key)?.utf8.elementsEqual(key.utf8) == true }?.value
  }

  /// The items of a list or a tuple; nil for others.
  func sequence(_ ref: Ref) -> [Ref]? {
    if let items = items(of: ref) { return Array(items) }
    guard let body = body(of: ref) else { return nil }
    var items: [Ref] = []
    for edit in body.edits {
      if case .append(let item) = edit { items.append(item) }
    }
    if case .list = body.construction { return items }
    return items.isEmpty ? nil : items
  }

  /// The attributes that an object's state sets, as Python's default `__setstate__` takes them.
  func attributes(of ref: Ref) -> [(key: Ref, value: Ref)] {
    var all: [(key: Ref, value: Ref)] = []
    for edit in body(of: ref)?.edits ?? [] {
      guard case .build(let state) = edit else { continue }
      let parts = items(of: state).flatMap { $0.count == 2 ? Array($0) : nil } ?? [state]
      for part in parts { all += entries(of: part) ?? [] }
    }
    return all
  }

  /// The class that an object is made by, `module.name`; nil for what is no object of a class.
  func className(of ref: Ref) -> String? {
    guard let body = body(of: ref) else { return nil }
    let maker: Ref
    switch body.construction {
    case .reduce(let callable, let arguments):
      maker = callable
      // Protocols 0 and 1 make objects by copyreg._reconstructor(cls, base, state).
      if let name = global(callable), name.name == "_reconstructor",
        let cls = items(of: arguments)?.first, let own = global(cls)
      {
        return own.module + "." + own.name
      }
    case .newObject(let cls, _), .newObjectWithKeywords(let cls, _, _): maker = cls
    default: return nil
    }
    return global(maker).map { $0.module + "." + $0.name }
  }

  /// A class or function, `module.name`.
  func globalName(_ ref: Ref) -> String? { global(ref).map { $0.module + "." + $0.name } }
}
