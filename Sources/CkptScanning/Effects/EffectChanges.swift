// Changes of objects after their construction.

extension EffectMachine {
  /// Follows BUILD: `target.__setstate__(state)`, or an assignment of attributes.
  mutating func build(_ target: EffectValue, _ state: EffectValue, at offset: Int) throws {
    switch target {
    case .name(let number): change(number)
    case .instance(let number):
      let name = tables[number]
      if name.form == .partial {
        bind(tables.items(state)?.first, by: number, at: offset)
      } else if name.form == .dtype {
        buildDType(name.kind, state, at: offset)
      }
    case .array(let number):
      // The memory of the first state may be in use.
      if tables.build(array: number) {
        odd("the state of an array is set again", at: offset, .dangerous)
      }
    case .persistent, .unknown:
      odd(
        "attributes are set of what is only known when the file is loaded", at: offset,
        .dangerous)
    default:
      if case .plain(.none) = state { return }
      // `pickle.py` does nothing if the state is false, the C module fails.
      input.dispute("attributes are set of what has none", at: offset)
    }
  }

  /// Notes that a class, function or module is changed.
  private mutating func change(_ number: UInt32) {
    mark(number, .changed)
    tables[number].raise(to: .dangerous) { "the pickle changes it for the whole process" }
  }

  /// Checks the state of a numpy dtype. One that says that objects are numbers, or numbers objects,
  /// makes numpy follow addresses from the file.
  private mutating func buildDType(
    _ kind: EffectName.Kind, _ state: EffectValue, at offset: Int
  ) {
    guard let items = tables.items(state).map(Array.init) else {
      odd(
        "the state of a numpy dtype is not known", at: offset,
        kind == .objectDType ? .dangerous : .unknown)
      return
    }
    guard kind != .structuredDType else {
      odd("a structured numpy dtype, whose offsets numpy does not check", at: offset)
      return
    }
    let isWhole = items.count == 8 || items.count == 9
    let hasParts = !items.dropFirst(2).prefix(3).allSatisfy {
      if case .plain(.none) = $0 { true } else { false }
    }
    guard isWhole, !hasParts, case .int(let flags) = items[7],
      kind == .objectDType ? flags == 63 : flags & 7 == 0
    else {
      odd("the state of a numpy dtype is not that of its type", at: offset, .dangerous)
      return
    }
  }

  /// Follows APPEND and APPENDS: `target.extend(items)`, or `target.append(item)`.
  mutating func append(to target: EffectValue, isEmpty: Bool, at offset: Int) throws {
    switch target {
    case .container(.list): return
    case .container(.byteArray):
      if isEmpty { return }
      return odd("an item is appended to bytes", at: offset)
    default: if try changeInstance(target, Self.lists, at: offset) { return }
    }
    try refuse("an item is appended to what is no list", isEmpty, at: offset)
  }

  /// Follows ADDITEMS: `target.add(item)`.
  mutating func add(to target: EffectValue, isEmpty: Bool, at offset: Int) throws {
    if case .container(.set) = target { return }
    if try changeInstance(target, Self.sets, at: offset) { return }
    try refuse("an item is added to what is no set", isEmpty, at: offset)
  }

  /// Follows SETITEM and SETITEMS: `target[key] = value`.
  mutating func setItem(of target: EffectValue, isEmpty: Bool, at offset: Int) throws {
    switch target {
    case .container(.dict): return
    case .container(.list), .container(.byteArray):
      odd("an item is set of a list or of bytes", at: offset)
      return
    default: if try changeInstance(target, Self.mappings, at: offset) { return }
    }
    if isEmpty { return }
    throw EffectStop(what: "an item is set of what is no dict", offset: offset)
  }

  /// The C module does nothing if there are no items; `pickle.py` looks for the method.
  private mutating func refuse(_ what: String, _ isEmpty: Bool, at offset: Int) throws {
    guard isEmpty else { throw EffectStop(what: what, offset: offset) }
    input.dispute(what, at: offset)
  }

  /// Follows a change of the items of what is no built-in container; returns false if it is of
  /// another built-in type.
  private mutating func changeInstance(
    _ target: EffectValue, _ expected: Set<String>, at offset: Int
  ) throws -> Bool {
    switch target {
    case .name(let number): change(number)
    case .instance, .array:
      guard let number = tables.origin(target) else { return true }
      let name = tables[number]
      guard name.rating == .safe, !expected.contains(name.module + "." + name.name) else {
        return true
      }
      let isMemory = name.module.hasPrefix("torch") || name.module.hasPrefix("numpy")
      odd(
        "an item is set of \(name.module).\(name.name)", at: offset,
        isMemory ? .dangerous : .unknown)
    case .persistent, .unknown:
      odd("an item is set of what is only known when the file is loaded", at: offset, .dangerous)
    default: return false
    }
    return true
  }

  private static let mappings: Set<String> = [
    "collections.OrderedDict", "collections.defaultdict", "collections.Counter",
    "collections.UserDict", "collections.ChainMap", "builtins.dict", "__builtin__.dict",
  ]
  private static let lists: Set<String> = [
    "collections.deque", "collections.UserList", "builtins.list", "__builtin__.list",
    "builtins.bytearray", "__builtin__.bytearray",
  ]
  private static let sets: Set<String> = ["builtins.set", "__builtin__.set"]
}
