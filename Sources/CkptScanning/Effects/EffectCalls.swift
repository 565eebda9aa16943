// Calls.

extension EffectMachine {
  /// The maximum number of calls that are passed on from one function to another.
  private static let depthLimit = 8
  private static let embeddedLimit = 100_000

  /// Notes that a name is used.
  mutating func mark(_ number: UInt32, _ use: PickleFinding.Use) {
    tables[number].use = max(tables[number].use, use)
  }

  /// The result of `callee(*arguments)`.
  ///
  /// - Throws: `EffectStop` if every reader fails.
  mutating func call(
    _ callee: EffectValue, _ arguments: EffectValue, at offset: Int, depth: Int = 0
  ) throws -> EffectValue {
    switch arguments {
    case .tuple, .longTuple: break
    case .int, .plain(.none), .plain(.bool), .plain(.number), .name:
      throw EffectStop(what: "a call without a tuple of arguments", offset: offset)
    default: input.dispute("arguments that are no tuple", at: offset)
    }
    switch callee {
    case .name(let number):
      return try call(number, arguments, at: offset, depth: depth)
    case .instance, .array:
      guard let number = tables.origin(callee) else { return .unknown }
      let owner = tables[number]
      if owner.form == .partial { return .unknown }
      let method = try attribute(of: callee, "__call__", at: offset)
      if case .name(let number) = method { mark(number, .called) }
      if owner.form == .itemGetter, case .name? = tables.items(arguments)?.first {
        odd("an item of what is imported is used", at: offset, .dangerous)
      }
      return .unknown
    case .persistent, .unknown, .computedText:
      odd("a call of what is only known when the file is loaded", at: offset, .dangerous)
      return .unknown
    case .plain, .int, .text, .farText, .longText, .bytes, .tuple, .longTuple, .container:
      throw EffectStop(what: "a call of what is no function", offset: offset)
    }
  }

  private mutating func call(
    _ number: UInt32, _ arguments: EffectValue, at offset: Int, depth: Int
  ) throws -> EffectValue {
    let name = tables[number]
    let items = tables.items(arguments).map(Array.init)
    let first = items?.first
    if name.form == .getattr, let items, (2...3).contains(items.count),
      let attribute = try text(items[1])
    {
      tables[number].mentions -= 1
      return try self.attribute(of: items[0], attribute, at: offset)
    }
    mark(number, .called)
    guard name.kind != .method, name.kind != .registered else { return .instance(number) }
    switch name.form {
    case .ordinary: return ordinary(number, first)
    case .getattr: return .unknown
    case .partial:
      bind(first, by: number, at: offset)
      return .instance(number)
    case .type:
      if items?.count == 1, let number = first.flatMap(tables.origin) { return .name(number) }
      if items?.count != 1 { tables[number].raise(to: .unknown) { "it makes a class" } }
      return .unknown
    case .itemGetter:
      if items?.allSatisfy(isConstant) != true {
        tables[number].raise(to: .unknown) { "its keys are only known when the file is loaded" }
      }
      return .instance(number)
    case .constructor: return construct(number, items)
    case .encode: return encoded(items)
    case .text: return .computedText
    case .number: return .plain(.number)
    case .loadFromBytes:
      guard items?.count == 1, let first, case .bytes = first, let file = tables.source(first),
        embedded.count < Self.embeddedLimit
      else { return .instance(number) }
      embedded.append(file)
      tables[number].mentions -= 1
      return .instance(number)
    case .rebuildFromType:
      guard depth < Self.depthLimit, let items, items.count >= 3 else {
        odd(
          "a function that calls another is called with unknown arguments", at: offset,
          .dangerous)
        return .unknown
      }
      let result = try call(items[0], items[2], at: offset, depth: depth + 1)
      if items.count > 3 { try build(result, items[3], at: offset) }
      guard case .name(let type) = items[1], case .instance(let made) = result,
        tables[made].form != .dtype
      else { return result }
      return .instance(type)
    case .dtype: return try dtype(number, first, at: offset)
    case .resolveName:
      guard let first, let text = try self.text(first) else { return .unknown }
      let parts = text.split(separator: ":", maxSplits: 1).map(String.init)
      return try imported(parts.first ?? "", parts.dropFirst().first ?? "", at: offset)
    case .addExtension:
      guard let items, items.count == 3, let module = try text(items[0]),
        let name = try text(items[1]), case .int(let code) = items[2],
        case .name(let target) = try imported(module, name, at: offset)
      else { return .unknown }
      registered[Int(code)] = target
      return .plain(.none)
    }
  }

  private func isConstant(_ value: EffectValue) -> Bool {
    switch value {
    case .plain, .int, .text, .farText, .longText, .bytes: true
    default: false
    }
  }

  private mutating func ordinary(_ number: UInt32, _ first: EffectValue?) -> EffectValue {
    let name = tables[number]
    switch (name.module, name.name) {
    case ("collections", "defaultdict"):
      // A missing key calls the factory.
      if case .name(let factory)? = first { mark(factory, .called) }
    case ("numpy", "ndarray"):
      tables[number].raise(to: .unknown) { "it is called instead of reconstructed" }
    default: break
    }
    return .instance(number)
  }

  /// Notes that `binder` will call `function`.
  mutating func bind(_ function: EffectValue?, by binder: UInt32, at offset: Int) {
    switch function {
    case .name(let number)?: mark(number, .called)
    case .instance(let number)? where tables[number].rating < .dangerous: break
    default:
      tables[binder].raise(to: .dangerous) {
        "the function that it binds is only known when the file is loaded"
      }
    }
  }

  private mutating func construct(_ number: UInt32, _ items: [EffectValue]?) -> EffectValue {
    guard let items, case .name(let cls)? = items.first else {
      tables[number].raise(to: .dangerous) {
        "the class of the instance is only known when the file is loaded"
      }
      return .unknown
    }
    mark(cls, .called)
    for case .name(let base) in items.dropFirst() { mark(base, .called) }
    if tables[cls].form == .partial, items.count > 1 {
      bind(tables.items(items[1])?.first, by: cls, at: tables[cls].offset)
    }
    let name = tables[number].name
    return name == "_reconstruct" ? tables.addArray(of: cls) : .instance(cls)
  }

  private mutating func encoded(_ items: [EffectValue]?) -> EffectValue {
    guard let items, items.count == 2, let source = tables.source(items[0]),
      source.encoding != .plain, let encoding = tables.text(items[1])
    else { return .plain(.bytes) }
    switch items[0] {
    case .text, .longText: break
    default: return .plain(.bytes)
    }
    switch encoding {
    case "latin1", "latin-1", "latin_1", "iso-8859-1", "iso8859-1": return tables.add(bytes: source)
    default: return .plain(.bytes)
    }
  }

  private mutating func dtype(
    _ number: UInt32, _ code: EffectValue?, at offset: Int
  ) throws -> EffectValue {
    guard let code, let text = try self.text(code) else {
      return try variant(.structuredDType, of: number, at: offset)
    }
    let letters = text.drop { "<>|=".contains($0) }
    if letters.hasPrefix("O") || letters == "object" {
      return try variant(.objectDType, of: number, at: offset)
    }
    let isPlain = letters.dropFirst().allSatisfy { $0.isASCII && $0.isNumber }
    if letters.hasPrefix("V") || !isPlain {
      return try variant(.structuredDType, of: number, at: offset)
    }
    return .instance(number)
  }
}
