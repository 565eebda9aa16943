internal import CkptText
internal import CkptPickle

// The contents of objects, independent of how the pickle represents them: entries of mappings,
// items, attributes.
extension PickleGraph {
  /// The maximum number of nested wrappers that are followed to find a mapping's entries.
  private static let layerLimit = 64

  /// The entries of a mapping, in Python's order; nil for other objects.
  ///
  /// A key that is set again keeps its position and gets the new value.
  func entries(of ref: Ref) -> [(key: Ref, value: Ref)]? {
    var layers: [Ref] = []
    var entries: [(key: Ref, value: Ref)] = []
    var next: Ref? = ref
    while let current = next {
      let form = form(of: current)
      guard form.kind == .mapping, layers.count < Self.layerLimit else { return nil }
      next = nil
      switch form.source {
      case .edits: layers.append(current)
      case .argument(let position):
        layers.append(current)
        guard let argument = making(of: current)?.argument(position) else { return nil }
        if let pairs = pairs(in: argument) { entries = pairs } else { next = argument }
      case .attribute(let name):
        guard let inner = attribute(name, of: current) else { return nil }
        // A wrapper inside a wrapper is not followed, since there could be a cycle.
        if case .attribute = self.form(of: inner).source { return nil }
        next = inner
      case .arguments, .state: return nil
      }
    }
    for layer in layers.reversed() {
      guard let edits = body(of: layer)?.edits else { continue }
      if entries.isEmpty { entries.reserveCapacity(edits.count) }
      for case .setItem(let key, let value) in edits { entries.append((key, value)) }
    }
    return unique(entries)
  }

  /// The counts of a `collections.Counter`; nil for other objects, and if a count is not an int.
  func counts(of ref: Ref) -> [(key: Ref, count: Int)]? {
    guard className(of: ref) == "collections.Counter", let entries = entries(of: ref) else {
      return nil
    }
    var result: [(key: Ref, count: Int)] = []
    for (key, value) in entries {
      guard let count = int(value) else { return nil }
      result.append((key, count))
    }
    return result
  }

  /// The value of a str key in a mapping.
  func value(of key: String, in ref: Ref) -> Ref? {
    entries(of: ref)?.last { text($0.key)?.isExactly(key) == true }?.value
  }

  /// The items of a list, a tuple, or a similar object, such as a deque; the fields of a namedtuple
  /// or of a call, whose names are not in the file. Nil for other objects.
  func sequence(_ ref: Ref) -> [Ref]? {
    if let items = items(of: ref) { return Array(items) }
    let form = form(of: ref)
    guard form.kind == .sequence || form.kind == .record, let body = body(of: ref) else {
      return nil
    }
    var result: [Ref]
    switch form.source {
    case .edits: result = []
    case .argument(let position):
      guard let argument = making(of: ref)?.argument(position), let items = plainItems(argument)
      else { return nil }
      result = items
    case .arguments: return making(of: ref).map { Array($0.arguments) }
    case .attribute(let name): return attribute(name, of: ref).flatMap(plainItems)
    case .state:
      for case .build(let state) in body.edits.reversed() { return plainItems(state) }
      return nil
    }
    for case .append(let item) in body.edits { result.append(item) }
    return result
  }

  /// The items of a set or frozenset, in the file's order; nil for other objects.
  func members(of ref: Ref) -> [Ref]? {
    let form = form(of: ref)
    guard form.kind == .set, let body = body(of: ref) else { return nil }
    var result: [Ref] = []
    if case .frozenSet(let items) = body.construction { result = plainItems(items) ?? [] }
    if case .argument(let position) = form.source {
      guard let argument = making(of: ref)?.argument(position), let items = plainItems(argument)
      else { return nil }
      result = items
    }
    for case .add(let item) in body.edits { result.append(item) }
    return result
  }

  /// The attributes that are set by an object's state and its constructor's keyword arguments, as
  /// with Python's default `__setstate__`.
  func attributes(of ref: Ref) -> [(key: Ref, value: Ref)] {
    var all: [(key: Ref, value: Ref)] = []
    guard let body = body(of: ref) else { return all }
    switch body.construction {
    case .list, .dict, .set, .frozenSet: break
    default:
      if let keywords = making(of: ref)?.keywords { all = entries(of: keywords) ?? [] }
    }
    for case .build(let state) in body.edits where state != ref {
      for part in stateParts(state) ?? [] where part != ref { all += entries(of: part) ?? [] }
    }
    return all.isEmpty ? all : unique(all)
  }

  /// The value of an attribute; nil if there is none.
  func attribute(_ name: String, of ref: Ref) -> Ref? {
    attributes(of: ref).last { text($0.key)?.isExactly(name) == true }?.value
  }
}
