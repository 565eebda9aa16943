internal import CkptPickle

/// The kind of an object in Python, and where the pickle stores its contents.
struct ObjectForm: Equatable {
  /// The kinds of objects, for reading and editing.
  enum Kind: Equatable {
    /// Keys and values.
    case mapping
    /// Items with indices, whose number can change.
    case sequence
    /// Items or fields with indices, whose number is fixed, such as a namedtuple, whose field names
    /// are not in the file.
    case record
    /// Items without order.
    case set
    /// Only attributes, or unknown contents.
    case other
  }

  /// Where the first items are stored; items that the pickle adds to the object itself follow.
  enum Source: Equatable {
    /// There are no first items.
    case edits
    /// In the constructor's argument with this index.
    case argument(Int)
    /// The arguments are the items.
    case arguments
    /// In the value of an attribute, as in `collections.UserDict`.
    case attribute(String)
    /// In a list or tuple that is the object's state, as in a frozen dataclass with slots.
    case state
  }

  let kind: Kind
  let source: Source

  static let other = ObjectForm(kind: .other, source: .edits)
}

extension PickleGraph {
  /// The form of an object.
  func form(of ref: Ref) -> ObjectForm {
    if items(of: ref) != nil { return ObjectForm(kind: .sequence, source: .edits) }
    guard let body = body(of: ref) else { return .other }
    switch body.construction {
    case .list: return ObjectForm(kind: .sequence, source: .edits)
    case .dict: return ObjectForm(kind: .mapping, source: .edits)
    case .set, .frozenSet: return ObjectForm(kind: .set, source: .edits)
    case .reduce(let callable, _):
      // Most calls in a checkpoint rebuild tensors.
      if body.edits.isEmpty, let (module, _) = nameBytes(callable),
        bytes(module).starts(with: "torch._utils".utf8)
      {
        return .other
      }
    default: break
    }
    guard let making = making(of: ref) else { return form(by: body.edits) }
    if let base = making.base,
      let known = form(of: making, as: modernName(base) ?? "", isBare: false)
    {
      return known
    }
    let name = modernName(making.maker) ?? ""
    if let known = form(of: making, as: name, isBare: making.isBare) { return known }
    return form(of: making, unknown: name, body)
  }

  /// The form determined by the edits of an object.
  private func form(by edits: [Edit]) -> ObjectForm {
    for edit in edits {
      switch edit {
      case .setItem: return ObjectForm(kind: .mapping, source: .edits)
      case .append: return ObjectForm(kind: .sequence, source: .edits)
      case .add: return ObjectForm(kind: .set, source: .edits)
      case .build, .call: break
      }
    }
    return .other
  }

  /// The form of an object of a standard class of Python; nil for other classes.
  private func form(of making: ObjectMaking, as name: String, isBare: Bool) -> ObjectForm? {
    /// The form with items in a constructor's argument, if it is present and not ignored by
    /// Python's `__new__`.
    func items(_ kind: ObjectForm.Kind, in position: Int, of most: Int) -> ObjectForm {
      guard !isBare, making.arguments.count > position else {
        return ObjectForm(kind: kind, source: .edits)
      }
      return making.arguments.count <= most
        ? ObjectForm(kind: kind, source: .argument(position)) : .other
    }
    switch name {
    case "builtins.dict", "collections.OrderedDict", "collections.Counter":
      return items(.mapping, in: 0, of: 1)
    case "collections.defaultdict": return items(.mapping, in: 1, of: 2)
    case "builtins.list": return items(.sequence, in: 0, of: 1)
    case "collections.deque": return items(.sequence, in: 0, of: 2)
    case "builtins.set": return items(.set, in: 0, of: 1)
    case "builtins.frozenset", "builtins.tuple", "torch.Size":
      guard making.arguments.count == 1 else { return .other }
      let kind: ObjectForm.Kind = name == "builtins.frozenset" ? .set : .record
      return ObjectForm(kind: kind, source: .argument(0))
    case "collections.UserDict": return ObjectForm(kind: .mapping, source: .attribute("data"))
    case "collections.UserList": return ObjectForm(kind: .sequence, source: .attribute("data"))
    default: return nil
    }
  }

  /// The form of an object of an unknown class, determined by how the pickle constructs it.
  private func form(
    of making: ObjectMaking, unknown name: String, _ body: Body
  ) -> ObjectForm {
    let edited = form(by: body.edits)
    guard edited.kind == .other else { return edited }
    if making.isBare {
      if !making.arguments.isEmpty { return ObjectForm(kind: .record, source: .arguments) }
      if let wrapped = wrappedForm(body) { return wrapped }
      for case .build(let state) in body.edits where stateParts(state) == nil {
        if items(of: state) != nil || isPlainList(state) {
          return ObjectForm(kind: .record, source: .state)
        }
      }
      return .other
    }
    if name.hasPrefix("torch.return_types."), making.arguments.count == 2 {
      return ObjectForm(kind: .record, source: .argument(0))
    }
    let others = ["builtins.", "torch.", "numpy.", "_codecs.", "copyreg.", "copy_reg."]
    guard !name.isEmpty, !others.contains(where: name.hasPrefix) else { return .other }
    if making.arguments.count == 1, let only = making.arguments.first {
      let keysAreTexts = pairs(in: only)?.allSatisfy { text($0.key) != nil } == true
      if isPlainMapping(only) || (keysAreTexts && pairs(in: only)?.isEmpty == false) {
        return ObjectForm(kind: .mapping, source: .argument(0))
      }
    }
    if making.arguments.contains(where: { isPlainMapping($0) || isPlainList($0) }) {
      return ObjectForm(kind: .record, source: .arguments)
    }
    return .other
  }

  /// The form of an object that is constructed without arguments and whose only attribute is
  /// `data`, such as a subclass of `collections.UserDict` or `UserList`.
  private func wrappedForm(_ body: Body) -> ObjectForm? {
    guard body.edits.count == 1, case .build(let state)? = body.edits.first,
      let inner = self.body(of: state), case .dict = inner.construction, inner.edits.count == 1,
      case .setItem(let key, let value)? = inner.edits.first, text(key) == "data"
    else { return nil }
    if isPlainMapping(value) { return ObjectForm(kind: .mapping, source: .attribute("data")) }
    if isPlainList(value) { return ObjectForm(kind: .sequence, source: .attribute("data")) }
    return nil
  }

  /// Whether an object is certainly a mapping: a dict, a mapping of `collections`, or an object in
  /// which keys are set.
  private func isPlainMapping(_ ref: Ref) -> Bool {
    guard let body = body(of: ref) else { return false }
    if case .dict = body.construction { return true }
    if form(by: body.edits).kind == .mapping { return true }
    return making(of: ref).flatMap { making in
      form(of: making, as: modernName(making.maker) ?? "", isBare: making.isBare)
    }?.kind == .mapping
  }

  private func isPlainList(_ ref: Ref) -> Bool {
    if case .list? = body(of: ref)?.construction { true } else { false }
  }

  /// The items of a plain list or tuple; nil for other objects.
  func plainItems(_ ref: Ref) -> [Ref]? {
    if let items = items(of: ref) { return Array(items) }
    guard let body = body(of: ref), case .list = body.construction else { return nil }
    return body.edits.compactMap { if case .append(let item) = $0 { item } else { nil } }
  }

  /// The keys and values of a list or tuple of pairs; nil for other objects.
  func pairs(in ref: Ref) -> [(key: Ref, value: Ref)]? {
    guard let items = plainItems(ref) else { return nil }
    var result: [(key: Ref, value: Ref)] = []
    result.reserveCapacity(items.count)
    for item in items {
      guard let pair = plainItems(item), pair.count == 2 else { return nil }
      result.append((pair[0], pair[1]))
    }
    return result
  }

  /// The dicts of attributes in an argument of `__setstate__`: a dict, or a tuple of a dict and a
  /// dict of `__slots__`, each of which may be None. Nil for other states.
  func stateParts(_ state: Ref) -> [Ref]? {
    guard let items = items(of: state) else { return isPlainMapping(state) ? [state] : nil }
    guard items.count == 2 else { return nil }
    var parts: [Ref] = []
    for item in items {
      if case .none = self[item] { continue }
      guard isPlainMapping(item) else { return nil }
      parts.append(item)
    }
    return parts
  }
}
