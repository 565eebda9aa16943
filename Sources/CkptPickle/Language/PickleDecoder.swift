internal import CkptPlatform

/// Decodes a pickle of protocol 0 to 5 to a graph. Nothing that it names is imported or called.
struct PickleDecoder {
  typealias Ref = PickleGraph.Ref

  private var reader: PickleReader
  private var graph: PickleGraph
  private var stack: [Ref] = []
  private var marks: [Int] = []
  private var memo: [Ref?] = []
  /// The number of memo entries, which is the number that MEMOIZE gives.
  private var memoCount = 0
  /// Memo entries whose number is far above the number of entries, so that a large number does not
  /// allocate a large array.
  private var farMemo: [UInt64: Ref] = [:]
  /// Objects that exist once in Python: the ints from 0 to 255, None, True, False, and the empty
  /// tuple.
  private var singletons = [Ref?](repeating: nil, count: 260)
  /// For each object, whether it is in the memo.
  private var isMemoized: [Bool] = []
  private let depthLimit: Int
  /// The maximum number of objects, references to them, and changes to them.
  private let objectLimit: Int
  private var editCount = 0

  init(_ bytes: [UInt8], depthLimit: Int, objectLimit: Int = .max) {
    reader = PickleReader(bytes)
    graph = PickleGraph(pool: bytes)
    self.depthLimit = depthLimit
    self.objectLimit = objectLimit
  }

  /// Executes the opcodes up to STOP.
  ///
  /// - Throws: ``PickleError``.
  mutating func decode() throws -> PickleGraph {
    try runToStop()
    graph.root = try pop()
    try graph.walk(from: graph.root, depthLimit: depthLimit) { _ in true }
    graph.seal()
    return graph
  }

  private mutating func runToStop() throws {
    while true {
      let offset = reader.position
      let byte = try reader.byte()
      guard let opcode = Opcode(rawValue: byte) else {
        throw PickleError.unknownOpcode(byte: byte, offset: offset)
      }
      if opcode == .stop { break }
      try run(opcode, offset: offset)
      if graph.nodes.count + graph.tupleItems.count + editCount + stack.count + memo.count
        + farMemo.count > objectLimit
      {
        throw PickleError.tooManyObjects(limit: objectLimit)
      }
    }
  }

  /// Executes the opcodes up to STOP or the first error. The graph then has all objects up to
  /// there, which are those that Python would have created before it failed.
  mutating func salvage() -> PickleGraph.Salvage {
    var problem: PickleError?
    do {
      try runToStop()
    } catch {
      problem = error as? PickleError ?? .malformed(what: "\(error)", offset: reader.position)
    }
    return PickleGraph.Salvage(
      graph: graph, end: reader.position, problem: problem, stack: stack, marks: marks)
  }

  // MARK: The stack

  /// The index of the first stack entry above the last mark; entries below it cannot be popped.
  private var floor: Int { marks.last ?? 0 }

  private mutating func push(_ node: PickleGraph.Node) { stack.append(graph.add(node)) }

  /// Pushes an object that exists once, by its index in `singletons`.
  private mutating func push(single position: Int, _ node: PickleGraph.Node) {
    let ref = singletons[position] ?? graph.add(node)
    singletons[position] = ref
    stack.append(ref)
  }

  private mutating func push(int value: Int64) {
    if let small = UInt8(exactly: value) {
      push(single: Int(small), .int(value))
    } else {
      push(.int(value))
    }
  }

  private mutating func pop() throws -> Ref {
    guard stack.count > floor, let ref = stack.popLast() else {
      throw PickleError.stackUnderflow(offset: reader.position)
    }
    return ref
  }

  private func top() throws -> Ref {
    guard stack.count > floor, let ref = stack.last else {
      throw PickleError.stackUnderflow(offset: reader.position)
    }
    return ref
  }

  private mutating func popToMark() throws -> [Ref] {
    guard let mark = marks.popLast() else {
      throw PickleError.stackUnderflow(offset: reader.position)
    }
    defer { stack.removeSubrange(mark...) }
    return Array(stack[mark...])
  }

  // MARK: The memo

  private mutating func memoize(_ ref: Ref, as index: UInt64) {
    if ref.slot >= isMemoized.count {
      isMemoized += repeatElement(
        false, count: max(64, graph.nodes.count) * 3 / 2 - isMemoized.count)
    }
    isMemoized[ref.slot] = true
    if index < UInt64(memo.count) {
      if memo[Int(index)] == nil { memoCount += 1 }
      memo[Int(index)] = ref
    } else if index <= UInt64(memo.count) + 1024 {
      while UInt64(memo.count) < index {
        memo.append(farMemo.removeValue(forKey: UInt64(memo.count)))
      }
      if farMemo.removeValue(forKey: index) == nil { memoCount += 1 }
      memo.append(ref)
    } else if farMemo.updateValue(ref, forKey: index) == nil {
      memoCount += 1
    }
  }

  private func isMemoized(_ ref: Ref) -> Bool {
    ref.slot < isMemoized.count && isMemoized[ref.slot]
  }

  private mutating func recall(_ index: UInt64, offset: Int) throws {
    let ref = index < UInt64(memo.count) ? memo[Int(index)] : farMemo[index]
    guard let ref else { throw PickleError.unknownMemo(index: index, offset: offset) }
    stack.append(ref)
  }

  // MARK: Opcodes

  private mutating func run(_ opcode: Opcode, offset: Int) throws {
    switch opcode {
    case .stop: break
    case .proto:
      let version = try reader.byte()
      guard version <= 5 else {
        throw PickleError.unsupported(what: "pickle protocol \(version)", offset: offset)
      }
      graph.declaredProtocol = Int(version)
    case .frame: try reader.beginFrame()
    case .mark:
      guard marks.count < depthLimit else { throw PickleError.nestingTooDeep(limit: depthLimit) }
      marks.append(stack.count)
    case .pop: try runPop()
    case .popMark: _ = try popToMark()
    case .dup: stack.append(try top())

    case .get: try recall(try memoIndex(offset), offset: offset)
    case .binGet: try recall(try reader.number(1), offset: offset)
    case .longBinGet: try recall(try reader.number(4), offset: offset)
    case .put: memoize(try top(), as: try memoIndex(offset))
    case .binPut: memoize(try top(), as: try reader.number(1))
    case .longBinPut: memoize(try top(), as: try reader.number(4))
    case .memoize: memoize(try top(), as: UInt64(memoCount))

    case .none: push(single: 256, .none)
    case .newTrue: push(single: 257, .bool(true))
    case .newFalse: push(single: 258, .bool(false))
    case .int, .binInt, .binInt1, .binInt2, .long, .long1, .long4, .float, .binFloat:
      try runNumber(opcode, offset: offset)
    case .string, .binString, .shortBinString, .unicode, .binUnicode, .shortBinUnicode,
      .binUnicode8, .binBytes, .shortBinBytes, .binBytes8, .byteArray8:
      try runText(opcode, offset: offset)

    case .emptyTuple: push(single: 259, graph.tuple([]))
    case .tuple1: stack.append(graph.addTuple([try pop()]))
    case .tuple2:
      let second = try pop()
      stack.append(graph.addTuple([try pop(), second]))
    case .tuple3:
      let third = try pop()
      let second = try pop()
      stack.append(graph.addTuple([try pop(), second, third]))
    case .tuple: stack.append(graph.addTuple(try popToMark()))
    case .emptyList: stack.append(graph.addObject(.list))
    case .emptyDict: stack.append(graph.addObject(.dict))
    case .emptySet: stack.append(graph.addObject(.set))
    case .list: stack.append(graph.addObject(.list, edits: try popToMark().map { .append($0) }))
    case .dict: stack.append(graph.addObject(.dict, edits: try pairs(try popToMark(), offset)))
    case .frozenSet:
      let items = graph.addTuple(try popToMark())
      stack.append(graph.addObject(.frozenSet(items: items)))

    case .append:
      let item = try pop()
      try edit([.append(item)], offset: offset)
    case .appends: try edit(try popToMark().map { .append($0) }, offset: offset)
    case .addItems: try edit(try popToMark().map { .add($0) }, offset: offset)
    case .setItem:
      let value = try pop()
      let key = try pop()
      try edit([.setItem(key: key, value: value)], offset: offset)
    case .setItems: try edit(try pairs(try popToMark(), offset), offset: offset)
    case .build:
      let state = try pop()
      try edit([.build(state)], offset: offset)

    case .global:
      let module = try name(try reader.line(), offset)
      stack.append(graph.addGlobal(module, try name(try reader.line(), offset)))
    case .stackGlobal:
      let name = try pop()
      let module = try pop()
      guard let moduleText = nameText(module), let nameText = nameText(name) else {
        throw PickleError.malformed(what: "a global whose name is no str", offset: offset)
      }
      stack.append(graph.addGlobal(moduleText, nameText))
    case .ext1, .ext2, .ext4:
      let code = try reader.number(opcode == .ext1 ? 1 : opcode == .ext2 ? 2 : 4)
      guard code > 0, code <= UInt64(Int32.max) else {
        throw PickleError.malformed(what: "extension code \(code)", offset: offset)
      }
      push(.extensionCode(Int32(code)))
    case .reduce:
      let arguments = try pop()
      let callable = try pop()
      stack.append(graph.addObject(.reduce(callable: callable, arguments: arguments)))
    case .newObj:
      let arguments = try pop()
      let cls = try pop()
      stack.append(graph.addObject(.newObject(cls: cls, arguments: arguments)))
    case .newObjEx:
      let keywords = try pop()
      let arguments = try pop()
      let cls = try pop()
      stack.append(
        graph.addObject(
          .newObjectWithKeywords(cls: cls, arguments: arguments, keywords: keywords)))
    case .inst:
      let module = try name(try reader.line(), offset, isASCII: true)
      let cls = graph.addGlobal(module, try name(try reader.line(), offset, isASCII: true))
      instantiate(cls, try popToMark())
    case .obj:
      let items = try popToMark()
      guard let cls = items.first else { throw PickleError.stackUnderflow(offset: offset) }
      instantiate(cls, Array(items.dropFirst()))
    case .persID:
      let line = try reader.line()
      guard reader.bytes[line.range].allSatisfy({ $0 < 0x80 }) else {
        throw PickleError.malformed(what: "a persistent ID that is no ASCII", offset: offset)
      }
      push(.persistentID(graph.add(.string(line))))
    case .binPersID: push(.persistentID(try pop()))
    case .nextBuffer, .readOnlyBuffer:
      throw PickleError.unsupported(what: "a buffer outside the pickle", offset: offset)
    }
  }

  /// Executes INST and OBJ, which create instances in protocols 0 and 1. Without arguments, the
  /// class is instantiated but not called.
  private mutating func instantiate(_ cls: Ref, _ arguments: [Ref]) {
    let tuple = graph.addTuple(arguments)
    stack.append(
      graph.addObject(
        arguments.isEmpty
          ? .newObject(cls: cls, arguments: tuple) : .reduce(callable: cls, arguments: tuple)))
  }

  /// Executes POP, which drops an object. If the object is a call that modifies the object below
  /// it, it is added to that object's edits.
  private mutating func runPop() throws {
    if let mark = marks.last, stack.count == mark {
      marks.removeLast()
      return
    }
    let dropped = try pop()
    guard stack.count > floor, let below = stack.last, !isMemoized(dropped),
      case .reduce(_, let arguments)? = graph.body(of: dropped)?.construction,
      graph.items(of: arguments)?.first == below
    else { return }
    _ = graph.edit(below, .call(dropped))
  }

  private mutating func edit(_ edits: [PickleGraph.Edit], offset: Int) throws {
    let target = try top()
    editCount += edits.count
    guard let construction = graph.body(of: target)?.construction,
      edits.allSatisfy({ construction.admits($0) })
    else {
      throw PickleError.malformed(what: "a value is changed that cannot be", offset: offset)
    }
    for edit in edits { _ = graph.edit(target, edit) }
  }

  private func pairs(_ items: [Ref], _ offset: Int) throws -> [PickleGraph.Edit] {
    guard items.count.isMultiple(of: 2) else {
      throw PickleError.malformed(what: "a key without a value", offset: offset)
    }
    return stride(from: 0, to: items.count, by: 2).map {
      .setItem(key: items[$0], value: items[$0 + 1])
    }
  }

  private mutating func memoIndex(_ offset: Int) throws -> UInt64 {
    let (number, reading) = NumberLine.memoNumber(reader.bytes[try reader.line().range])
    guard let number, reading == .agreed else {
      throw PickleError.malformed(what: "a memo number that is none", offset: offset)
    }
    return number
  }

  /// The text of a module or name on the stack; nil if it is no str.
  private func nameText(_ ref: Ref) -> PickleGraph.Bytes? {
    switch graph[ref] {
    case .string(let text): text
    case .byteString(let text): PickleText.isPythonUTF8(graph.bytes(text)) ? text : nil
    default: nil
    }
  }

  private func name(
    _ run: PickleGraph.Bytes, _ offset: Int, isASCII: Bool = false
  ) throws -> PickleGraph.Bytes {
    let bytes = reader.bytes[run.range]
    guard run.count > 0 else {
      throw PickleError.malformed(what: "a name without a letter", offset: offset)
    }
    guard isASCII ? bytes.allSatisfy({ $0 < 0x80 }) : PickleText.isPythonUTF8(bytes) else {
      throw PickleError.malformed(what: "a name that is no text", offset: offset)
    }
    return run
  }

  // MARK: Numbers and text

  private mutating func runNumber(_ opcode: Opcode, offset: Int) throws {
    switch opcode {
    case .binInt: push(int: Int64(Int32(truncatingIfNeeded: try reader.number(4))))
    case .binInt1: push(int: Int64(try reader.number(1)))
    case .binInt2: push(int: Int64(try reader.number(2)))
    case .binFloat: push(.float(try reader.number(8).byteSwapped))
    case .float:
      let line = reader.bytes[try reader.line().range]
      guard NumberLine.float(line) == .agreed,
        let value = Double(String(decoding: line, as: UTF8.self))
      else { throw PickleError.malformed(what: "a float that is none", offset: offset) }
      push(.float(value.bitPattern))
    case .int, .long:
      let line = reader.bytes[try reader.line().range]
      let reading = opcode == .int ? NumberLine.int(line) : NumberLine.long(line)
      var digits = String(decoding: line, as: UTF8.self)
      if opcode == .int, digits == "00" || digits == "01" {
        digits == "01" ? push(single: 257, .bool(true)) : push(single: 258, .bool(false))
        return
      }
      if opcode == .long, digits.hasSuffix("L") { digits.removeLast() }
      guard reading == .agreed, let bytes = BigInt.parse(decimal: digits) else {
        throw PickleError.malformed(what: "an int that is none, or a huge one", offset: offset)
      }
      if let value = BigInt.int64(bytes[...]) {
        push(int: value)
      } else {
        push(.bigInt(graph.intern(bytes)))
      }
    default:
      let run =
        opcode == .long1 ? try reader.run(lengthSize: 1) : try reader.signedRun()
      let bytes = BigInt.minimal(reader.bytes[run.range])
      if let value = BigInt.int64(bytes) {
        push(int: value)
      } else {
        push(.bigInt(.init(start: run.start, byteCount: UInt32(bytes.count))))
      }
    }
  }

  private mutating func runText(_ opcode: Opcode, offset: Int) throws {
    switch opcode {
    case .binString: push(.byteString(try reader.signedRun()))
    case .shortBinString: push(.byteString(try reader.run(lengthSize: 1)))
    case .binBytes: push(.bytes(try reader.run(lengthSize: 4)))
    case .shortBinBytes: push(.bytes(try reader.run(lengthSize: 1)))
    case .binBytes8: push(.bytes(try reader.run(lengthSize: 8)))
    case .byteArray8: push(.byteArray(try reader.run(lengthSize: 8)))
    case .string:
      guard let text = PickleText.decodeQuoted(reader.bytes[try reader.line().range]) else {
        throw PickleError.malformed(what: "a str without its quotes", offset: offset)
      }
      push(.byteString(graph.intern(text)))
    case .unicode:
      let line = try reader.line()
      guard let text = PickleText.decodeRawUnicodeEscape(reader.bytes[line.range]) else {
        throw PickleError.malformed(what: "a str with a broken escape", offset: offset)
      }
      push(.string(graph.intern(text)))
    default:
      let lengthSize = opcode == .shortBinUnicode ? 1 : opcode == .binUnicode ? 4 : 8
      let run = try reader.run(lengthSize: lengthSize)
      guard PickleText.isPythonUTF8(reader.bytes[run.range]) else {
        throw PickleError.malformed(what: "a str that is no UTF-8", offset: offset)
      }
      push(.string(run))
    }
  }
}

extension PickleGraph.Construction {
  /// Whether Python can make a change to a new object: items can be set in a dict, appended to a
  /// list, and added to a set. What other classes do is not known.
  fileprivate func admits(_ edit: PickleGraph.Edit) -> Bool {
    switch (self, edit) {
    case (.list, .append), (.dict, .setItem), (.set, .add), (_, .call): true
    case (.list, _), (.dict, _), (.set, _), (.frozenSet, _): false
    case (.reduce, _), (.newObject, _), (.newObjectWithKeywords, _): true
    }
  }
}
