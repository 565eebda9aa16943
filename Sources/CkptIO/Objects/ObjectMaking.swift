internal import CkptPickle

/// How an object is constructed, independent of the pickle's form: the class or function, and its
/// arguments.
///
/// A class is called by REDUCE. It is instantiated without a call by NEWOBJ, NEWOBJ_EX,
/// `copyreg.__newobj__`, and `copyreg.__newobj_ex__` (in protocols 2 and 3 the latter is a
/// `functools.partial`), and in protocols 0 and 1 by `copyreg._reconstructor(class, base, state)`.
struct ObjectMaking {
  typealias Ref = PickleGraph.Ref

  /// The class or function.
  let maker: Ref
  /// The object's own arguments, without the class.
  let arguments: ArraySlice<Ref>
  /// The tuple that contains the arguments at its end.
  let tuple: Ref
  /// The dict of keyword arguments.
  let keywords: Ref?
  /// Whether only `__new__` is called, whose arguments dicts, lists, and sets ignore.
  let isBare: Bool
  /// For `copyreg._reconstructor`, the built-in base type that takes the one argument.
  let base: Ref?

  /// The argument with an index; nil if there are fewer.
  func argument(_ number: Int) -> Ref? { arguments.dropFirst(number).first }
}

extension PickleGraph {
  /// How an object of a class is constructed; nil for other objects.
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

  /// The object that `functools.partial(cls.__new__, cls, *arguments, **keywords)()` constructs.
  /// The partial's state consists of its function, arguments, and keywords.
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

  /// The class or function that constructs an object, as `module.name`; nil for other objects.
  func className(of ref: Ref) -> String? { making(of: ref).flatMap { globalName($0.maker) } }

  /// The name of a class or function, as `module.name`.
  func globalName(_ ref: Ref) -> String? { global(ref).map { $0.module + "." + $0.name } }

  /// The name of a class or function, with the module's name in Python 3.
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
