// Names: imports, attributes, and registered numbers.

extension EffectMachine {
  /// Imports a name that is written in the pickle; its module and name are nil where too long.
  mutating func named(_ lines: [String?], at offset: Int) throws -> EffectValue {
    guard let module = lines[0], let name = lines[1] else { return unreadable(at: offset) }
    return try imported(module, name, at: offset)
  }

  /// Imports a name from two objects.
  mutating func named(
    _ module: EffectValue, _ name: EffectValue, at offset: Int
  ) throws -> EffectValue {
    if let module = try text(module), let name = try text(name) {
      return try imported(module, name, at: offset)
    }
    for part in [module, name] {
      switch part {
      case .int, .bytes, .tuple, .longTuple, .container, .name, .plain(.none), .plain(.bool),
        .plain(.number), .plain(.bytes):
        throw EffectStop(what: "a name that is no str", offset: offset)
      default: break
      }
    }
    for part in [module, name] {
      switch part {
      case .farText, .longText, .plain(.text): return unreadable(at: offset)
      default: break
      }
    }
    odd("a name that is only known when the file is loaded", at: offset, .dangerous)
    return .unknown
  }

  private mutating func unreadable(at offset: Int) -> EffectValue {
    odd("a name of over \(EffectTables.textLimit) bytes", at: offset, .dangerous)
    return .unknown
  }

  /// Imports a name.
  mutating func imported(
    _ module: String, _ name: String, at offset: Int
  ) throws -> EffectValue {
    let number = try self.number(of: module, name, .imported, at: offset) {
      (.of(module: module, name: name, isTorchScript: $0), nil)
    }
    if version < 3, !tables[number].isTranslated {
      tables[number].isTranslated = true
      let new = Python2Names.translated(module, name)
      if new != (module, name) {
        tables[number].raise(to: .of(module: new.module, name: new.name)) {
          "Python 3 imports \(new.module).\(new.name)"
        }
      }
    }
    return .name(number)
  }

  private mutating func number(
    of module: String, _ name: String, _ kind: EffectName.Kind, at offset: Int,
    rating: (_ isTorchScript: Bool) -> (GlobalRating, String?)
  ) throws -> UInt32 {
    let isTorchScript = isTorchScript
    let number = tables.number(of: module, name, kind, at: offset) { rating(isTorchScript) }
    guard let number else {
      throw EffectStop(
        what: "it has more names than are followed", offset: offset, rating: .dangerous)
    }
    return number
  }

  /// A name by its number in `copyreg`'s registry.
  mutating func extensionName(_ code: Int, at offset: Int) throws -> EffectValue {
    if let number = registered[code] { return .name(number) }
    return .name(
      try number(of: "copyreg", "extension \(code)", .registered, at: offset) { _ in
        (.unknown, "only the process that loads the file knows what it is")
      })
  }

  /// A name that is only told from others of its kind within the machine.
  mutating func variant(
    _ kind: EffectName.Kind, of number: UInt32, at offset: Int
  ) throws -> EffectValue {
    let name = tables[number]
    return .instance(
      try self.number(of: name.module, name.name, kind, at: offset) { _ in (name.rating, nil) })
  }

  /// The result of `getattr(owner, name)`.
  mutating func attribute(
    of owner: EffectValue, _ name: String, at offset: Int
  ) throws -> EffectValue {
    switch owner {
    case .name(let number):
      let parent = tables[number]
      guard parent.kind != .registered, let full = joined(parent.name, name) else {
        return unknownAttribute(name, at: offset)
      }
      if parent.kind == .method {
        return try method(full, parent.rating, of: parent.module, at: offset)
      }
      return .name(
        try self.number(of: parent.module, full, .attribute, at: offset) {
          let rating = GlobalRating.of(module: parent.module, name: full, isTorchScript: $0)
          return (max(rating, parent.rating == .dangerous ? .dangerous : .unknown), nil)
        })
    case .instance, .array:
      guard let number = tables.origin(owner) else { return unknownAttribute(name, at: offset) }
      let parent = tables[number]
      guard let full = joined(parent.name, name) else {
        return unknownAttribute(name, at: offset)
      }
      return try method(full, parent.rating, of: parent.module, at: offset)
    case .plain(let kind):
      let owner =
        switch kind {
        case .none: "NoneType"
        case .bool: "bool"
        case .number: "float"
        case .text: "str"
        case .bytes: "bytes"
        }
      return try method(owner + "." + name, .safe, of: "builtins", at: offset)
    case .int: return try method("int." + name, .safe, of: "builtins", at: offset)
    case .text, .farText, .longText, .computedText:
      return try method("str." + name, .safe, of: "builtins", at: offset)
    case .bytes: return try method("bytes." + name, .safe, of: "builtins", at: offset)
    case .tuple, .longTuple:
      return try method("tuple." + name, .safe, of: "builtins", at: offset)
    case .container(let kind):
      let owner =
        switch kind {
        case .list: "list"
        case .dict: "dict"
        case .set: "set"
        case .frozenSet: "frozenset"
        case .byteArray: "bytearray"
        }
      return try method(owner + "." + name, .safe, of: "builtins", at: offset)
    case .persistent:
      return try method("UntypedStorage." + name, .safe, of: "torch", at: offset)
    case .unknown: return unknownAttribute(name, at: offset)
    }
  }

  /// An attribute of an instance, most often a bound method.
  private mutating func method(
    _ name: String, _ owner: GlobalRating, of module: String, at offset: Int
  ) throws -> EffectValue {
    .name(
      try number(of: module, name, .method, at: offset) { _ in
        (max(owner, .ofMethod(name)), nil)
      })
  }

  private mutating func unknownAttribute(_ name: String, at offset: Int) -> EffectValue {
    odd("an attribute of what is only known when the file is loaded", at: offset, .dangerous)
    return .unknown
  }

  private func joined(_ owner: String, _ name: String) -> String? {
    owner.utf8.count < 1000 ? owner + "." + name : nil
  }

  /// The result of the loader's function for persistent IDs: a storage, or the class of a module in
  /// files of PyTorch before 1.6.
  mutating func persistent(_ id: EffectValue) -> EffectValue {
    guard let items = tables.items(id), items.count >= 2, let first = items.first,
      tables.text(first) == "module", case .name = items[items.startIndex + 1]
    else { return .persistent }
    return items[items.startIndex + 1]
  }
}
