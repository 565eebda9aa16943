internal import CkptText
internal import CkptPickle

// Changes to the contents of objects, made where the pickle stores them, so that an object keeps
// its form.
//
// Python copies what an object receives at its construction or as its state (a constructor's
// argument, a dict of attributes). It is therefore copied before it is changed, since the pickle
// may refer to it elsewhere. What an object contains by reference (the dict in a
// `collections.UserDict`) is changed in place.
extension PickleGraph {
  typealias Entry = (key: Ref, value: Ref)

  /// Sets the entries of a mapping.
  ///
  /// In a mapping whose entries are also attributes, such as an `EasyDict`, both are set.
  ///
  /// - Returns: whether the object is a mapping that can be changed in this way.
  mutating func setEntries(of ref: Ref, to new: [Entry]) -> Bool {
    guard let old = entries(of: ref) else { return false }
    let rest = attributesBeside(old, of: ref)
    guard setOwnEntries(of: ref, to: new) else { return false }
    guard let rest else { return true }
    return setAttributes(of: ref, to: rest + new)
  }

  private mutating func setOwnEntries(of ref: Ref, to new: [Entry]) -> Bool {
    let form = form(of: ref)
    guard form.kind == .mapping, var body = body(of: ref) else { return false }
    switch form.source {
    case .edits: body.edits = Self.edits(body.edits, withEntries: new)
    case .argument(let position):
      guard let argument = making(of: ref)?.argument(position) else { return false }
      let given = (pairs(in: argument) ?? entries(of: argument)).map(unique) ?? []
      let hasEdits = body.edits.contains { if case .setItem = $0 { true } else { false } }
      if hasEdits, new.count >= given.count, zip(given, new).allSatisfy({ $0 == $1 }) {
        body.edits = Self.edits(body.edits, withEntries: Array(new.dropFirst(given.count)))
      } else {
        let fresh = container(like: argument, of: new)
        guard setArgument(position, in: &body, of: ref, to: fresh) else { return false }
        body.edits = Self.edits(body.edits, withEntries: [])
      }
    case .attribute(let name):
      guard let inner = attribute(name, of: ref) else { return false }
      if case .attribute = self.form(of: inner).source { return false }
      return setOwnEntries(of: inner, to: new)
    case .arguments, .state: return false
    }
    replaceBody(of: ref, with: body)
    return true
  }

  /// The edits with their entries replaced, at the position of the first one.
  private static func edits(_ edits: [Edit], withEntries new: [Entry]) -> [Edit] {
    var rest: [Edit] = []
    var position: Int?
    for edit in edits {
      if case .setItem = edit {
        position = position ?? rest.count
      } else {
        rest.append(edit)
      }
    }
    rest.insert(
      contentsOf: new.lazy.map { .setItem(key: $0.key, value: $0.value) }, at: position ?? 0)
    return rest
  }

  /// A new object like a constructor's argument: pairs in a list or tuple, or a mapping.
  private mutating func container(like argument: Ref, of entries: [Entry]) -> Ref {
    if let old = plainItems(argument), pairs(in: argument) != nil {
      let areLists = old.first.map { self.items(of: $0) == nil } ?? false
      var items: [Ref] = []
      items.reserveCapacity(entries.count)
      for (key, value) in entries {
        items.append(
          areLists
            ? addObject(.list, edits: [.append(key), .append(value)]) : addTuple([key, value]))
      }
      return sequence(like: argument, of: items)
    }
    let edits = Self.edits([], withEntries: entries)
    guard let body = body(of: argument), form(of: argument).source == .edits else {
      return addObject(.dict, edits: edits)
    }
    return addObject(body.construction, edits: Self.edits(body.edits, withEntries: entries))
  }

  private mutating func sequence(like old: Ref, of items: [Ref]) -> Ref {
    self.items(of: old) != nil
      ? addTuple(items) : addObject(.list, edits: items.map { .append($0) })
  }

  /// Replaces an argument of the construction of `ref`.
  private mutating func setArgument(
    _ number: Int, in body: inout Body, of ref: Ref, to new: Ref
  ) -> Bool {
    guard let making = making(of: ref) else { return false }
    var arguments = Array(making.arguments)
    guard arguments.indices.contains(number) else { return false }
    arguments[number] = new
    return setArguments(arguments, in: &body, making)
  }

  /// Replaces the arguments of a construction by the same number of others.
  private mutating func setArguments(
    _ new: [Ref], in body: inout Body, _ making: ObjectMaking
  ) -> Bool {
    guard let all = items(of: making.tuple), new.count == making.arguments.count else {
      return false
    }
    let tuple = addTuple(Array(all.dropLast(new.count)) + new)
    switch body.construction {
    case .newObject(let cls, making.tuple):
      body.construction = .newObject(cls: cls, arguments: tuple)
    case .newObjectWithKeywords(let cls, making.tuple, let keywords):
      body.construction = .newObjectWithKeywords(cls: cls, arguments: tuple, keywords: keywords)
    case .reduce(let callable, making.tuple):
      body.construction = .reduce(callable: callable, arguments: tuple)
    // In copyreg.__newobj_ex__ and functools.partial, the tuple is nested.
    default: return false
    }
    return true
  }

  // MARK: Items

  /// Sets the items of a sequence; a namedtuple's number of items cannot change.
  ///
  /// - Returns: whether the object is a sequence that can be changed in this way.
  mutating func setItems(of ref: Ref, to new: [Ref]) -> Bool {
    if items(of: ref) != nil {
      let tuple = addTuple(new)
      replace(ref, with: self[tuple])
      return true
    }
    let form = form(of: ref)
    guard let old = sequence(ref), var body = body(of: ref),
      form.kind == .sequence || old.count == new.count
    else { return false }
    switch form.source {
    case .edits: body.edits = Self.edits(body.edits, withItems: new)
    case .argument(let position):
      guard let argument = making(of: ref)?.argument(position), let given = plainItems(argument)
      else { return false }
      let hasEdits = body.edits.contains { if case .append = $0 { true } else { false } }
      if hasEdits || given.isEmpty, new.starts(with: given) {
        body.edits = Self.edits(body.edits, withItems: Array(new.dropFirst(given.count)))
      } else {
        let fresh = sequence(like: argument, of: new)
        guard setArgument(position, in: &body, of: ref, to: fresh) else { return false }
        body.edits = Self.edits(body.edits, withItems: [])
      }
    case .arguments:
      guard let making = making(of: ref), setArguments(new, in: &body, making) else {
        return false
      }
    case .attribute(let name):
      guard let inner = attribute(name, of: ref), plainItems(inner) != nil else { return false }
      return setItems(of: inner, to: new)
    case .state:
      for position in body.edits.indices.reversed() {
        guard case .build(let state) = body.edits[position] else { continue }
        body.edits[position] = .build(sequence(like: state, of: new))
        break
      }
    }
    replaceBody(of: ref, with: body)
    return true
  }

  private static func edits(_ edits: [Edit], withItems new: [Ref]) -> [Edit] {
    var rest: [Edit] = []
    var position: Int?
    for edit in edits {
      if case .append = edit {
        position = position ?? rest.count
      } else {
        rest.append(edit)
      }
    }
    rest.insert(contentsOf: new.lazy.map { .append($0) }, at: position ?? 0)
    return rest
  }

  // MARK: Attributes

  /// The attributes of a mapping that are not entries, if all entries are also attributes with the
  /// same values; nil otherwise.
  private func attributesBeside(_ entries: [Entry], of ref: Ref) -> [Entry]? {
    let attributes = attributes(of: ref)
    guard !entries.isEmpty, attributes.count >= entries.count else { return nil }
    var values: [KeyIdentity: Ref] = [:]
    for (key, value) in attributes { values[keyIdentity(key)] = value }
    var names: Set<KeyIdentity> = []
    for (key, value) in entries {
      let name = keyIdentity(key)
      guard let other = values[name], other == value || isSameValue(other, value) else {
        return nil
      }
      names.insert(name)
    }
    return attributes.filter { !names.contains(keyIdentity($0.key)) }
  }

  /// Whether two numbers, strings, or tuples of them are equal in Python.
  private func isSameValue(_ left: Ref, _ right: Ref) -> Bool {
    let identity = keyIdentity(left)
    if case .float(let bits) = self[left], case .float(bits) = self[right] { return true }
    return identity == keyIdentity(right)
  }

  /// Sets the entries of the last dict of attributes in an object's state.
  private mutating func setAttributes(of ref: Ref, to new: [Entry]) -> Bool {
    changeState(of: ref) { graph, parts in
      guard let last = parts.last, let body = graph.body(of: last), parts.count == 1 else {
        return nil
      }
      let fresh = graph.addObject(body.construction, edits: body.edits)
      return graph.setOwnEntries(of: fresh, to: new) ? [fresh] : nil
    }
  }

  /// Sets an attribute, or removes it if `new` is nil.
  ///
  /// - Returns: whether the object's state contains the attribute, or a new one can be added if
  ///   `adding`.
  mutating func setAttribute(
    _ name: String, of ref: Ref, to new: Ref?, adding: Bool = false
  ) -> Bool {
    changeState(of: ref) { graph, parts in
      for position in parts.indices.reversed() {
        guard var entries = graph.entries(of: parts[position]) else { continue }
        let old = entries.lastIndex { graph.text($0.key)?.isExactly(name) == true }
        guard let old = old ?? (adding && position == 0 ? entries.count : nil) else { continue }
        if old == entries.count {
          guard let new else { return nil }
          entries.append((graph.addString(name), new))
        } else if let new {
          entries[old].value = new
        } else {
          entries.remove(at: old)
        }
        guard let body = graph.body(of: parts[position]) else { return nil }
        let fresh = graph.addObject(body.construction, edits: body.edits)
        guard graph.setOwnEntries(of: fresh, to: entries) else { return nil }
        var parts = parts
        parts[position] = fresh
        return parts
      }
      return nil
    }
  }

  /// Changes the dicts of attributes in an object's state, beginning with the last state.
  ///
  /// - Parameter change: returns new dicts for the given ones; nil for no change.
  private mutating func changeState(
    of ref: Ref, _ change: (inout PickleGraph, [Ref]) -> [Ref]?
  ) -> Bool {
    guard var body = body(of: ref) else { return false }
    for position in body.edits.indices.reversed() {
      guard case .build(let state) = body.edits[position], state != ref,
        let parts = stateParts(state), let new = change(&self, parts), new.count == parts.count
      else { continue }
      if let items = items(of: state) {
        var rest = new[...]
        let tuple = items.map { item in
          if case .none = self[item] { item } else { rest.popFirst() ?? item }
        }
        body.edits[position] = .build(addTuple(tuple))
      } else if let only = new.first {
        body.edits[position] = .build(only)
      }
      replaceBody(of: ref, with: body)
      return true
    }
    return false
  }
}
