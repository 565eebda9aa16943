internal import CkptPickle

/// How an object comes to be, whichever of the pickle's forms says so: by what, and from which arguments.
///
/// A class is called by REDUCE, made without a call by NEWOBJ, NEWOBJ_EX, `copyreg.__newobj__` and
/// `copyreg.__newobj_ex__` (protocols 2 and 3 put the latter as a `functools.partial`), and in protocols 0 and 1 by
/// `copyreg._reconstructor(class, base, state)`.
struct ObjectMaking {
  typealias Ref = PickleGraph.Ref

  /// The class or function.
  let maker: Ref
  /// The arguments that are the object's own: without the class, where that is passed, too.
  let arguments: ArraySlice<Ref>
  /// The tuple that holds the arguments, the last ones if there are others.
  let tuple: Ref
  /// The dict of arguments that have names.
  let keywords: Ref?
  /// Whether `__new__` alone is called, which a dict, a list and a set ignore the arguments of.
  let isBare: Bool
  /// For `copyreg._reconstructor`, the built-in type that takes the one argument.
  let base: Ref?

  /// An argument by its number; nil if there are fewer.
  func argument(_ number: Int) -> Ref? { arguments.dropFirst(number).first }
}

extension PickleGraph {
  /// How an object of a class is made; nil for what is no such object.
  func making(of ref: Ref) -> ObjectMaking? {
    guard let body = body(of: ref) else { return nil }
    switch body.construction {
    case .list, .dict, .set, .frozenSet: return nil
    case .newObject(let cls, let tuple):
      guard let items = items(of: tuple) else { return nil }
      return ObjectMaking(
        maker: cls, arguments: items, tuple: tuple, keywords: nil, isBare: true, base: nil)
    case .newObjectWithKeywords(let cls, let tuple, let keywords):
      guard let items = items(of: tuple) else { return nil }
      return ObjectMaking(
        maker: cls, arguments: items, tuple: tuple, keywords: keywords, isBare: true, base: nil)
    case .reduce(let callable, let tuple):
      guard let items = items(of: tuple) else { return nil }
      if nameBytes(callable) == nil, items.isEmpty, let made = partialNew(callable) { return made }
      return call(callable, items, tuple)
    }
  }

  private func call(_ callable: Ref, _ items: ArraySlice<Ref>, _ tuple: Ref) -> ObjectMaking {
    let plain = ObjectMaking(
      maker: callable, arguments: items, tuple: tuple, keywords: nil, isBare: false, base: nil)
    guard let (module, name) = nameBytes(callable),
      bytes(module).elementsEqual("copyreg".utf8) || bytes(module).elementsEqual("copy_reg".utf8),
      let cls = items.first
    else { return plain }
    switch String(decoding: bytes(name), as: UTF8.self) {
    case "_reconstructor":
      guard items.count == 3 else { return plain }
      let base = items[items.startIndex + 1]
      let isObject = modernName(base) == "builtins.object"
      return ObjectMaking(
        maker: cls, arguments: items.dropFirst(isObject ? 3 : 2), tuple: tuple, keywords: nil,
        isBare: true, base: isObject ? nil : base)
    case "__newobj__":
      return ObjectMaking(
        maker: cls, arguments: items.dropFirst(), tuple: tuple, keywords: nil, isBare: true,
        base: nil)
    case "__newobj_ex__":
      guard items.count == 3, let inner = self.items(of: items[items.startIndex + 1]) else {
        return plain
      }
      return ObjectMaking(
        maker: cls, arguments: inner, tuple: items[items.startIndex + 1],
        keywords: items[items.startIndex + 2], isBare: true, base: nil)
    default: return plain
    }
  }

  /// What `functools.partial(cls.__new__, cls, *arguments, **keywords)()` makes: the partial's state is its
  /// function, its arguments and its keywords.
  private func partialNew(_ callable: Ref) -> ObjectMaking? {
    guard let body = body(of: callable), case .reduce(let maker, _) = body.construction,
      globalName(maker) == "functools.partial", body.edits.count == 1,
      case .build(let state)? = body.edits.first, let parts = items(of: state), parts.count == 4,
      let arguments = items(of: parts[parts.startIndex + 1]), let cls = arguments.first,
      nameBytes(cls) != nil
    else { return nil }
    return ObjectMaking(
      maker: cls, arguments: arguments.dropFirst(), tuple: parts[parts.startIndex + 1],
      keywords: parts[parts.startIndex + 2], isBare: true, base: nil)
  }

  /// The class that an object is made by, `module.name`; nil for what is no object of a class.
  func className(of ref: Ref) -> String? { making(of: ref).flatMap { globalName($0.maker) } }

  /// A class or function, `module.name`.
  func globalName(_ ref: Ref) -> String? { global(ref).map { $0.module + "." + $0.name } }

  /// The same under the module's name in Python 3.
  func modernName(_ ref: Ref) -> String? {
    guard let (module, name) = global(ref) else { return nil }
    switch (module, name) {
    case ("__builtin__", _): return "builtins." + name
    case ("UserDict", "UserDict"), ("UserDict", "IterableUserDict"): return "collections.UserDict"
    case ("UserList", "UserList"): return "collections.UserList"
    default: return module + "." + name
    }
  }
}
