internal import CkptBytes
internal import CkptPickle

/// Follows the opcodes of a pickle as a reader would, with values of which only that is known which
/// decides what the pickle does.
///
/// It goes on where a reader might, and stops where every reader must.
struct EffectMachine {
  /// The maximum number of objects on the stack.
  private static let stackLimit = 1 << 21
  private static let markLimit = 1 << 18
  /// The maximum number of memo entries that are followed.
  private static let memoLimit = 2 << 20

  var input: EffectInput
  var tables = EffectTables()
  var problems: [PickleProblem] = []
  var embedded: [EmbeddedFile] = []
  /// Names that the pickle registers under a number.
  var registered: [Int: UInt32] = [:]
  /// How often a str may be read again that was not kept.
  var rereadsLeft = 100_000
  /// The protocol that the pickle declared last.
  var version = 0
  let isTorchScript: Bool
  private(set) var isComplete = false
  private(set) var result: EffectValue?
  /// The offset after STOP, or where the pickle could not be followed any further.
  private(set) var end = 0

  private var opcodeCount = 0
  private var stack: [EffectValue] = []
  private var marks: [Int] = []
  private var memo: [EffectValue?] = []
  private var farMemo: [UInt64: EffectValue] = [:]
  private var memoCount = 0
  /// The number below which memo entries exist though they are not kept.
  private var forgotten: UInt64 = 0

  init(_ input: EffectInput, isTorchScript: Bool) {
    self.input = input
    self.isTorchScript = isTorchScript
  }

  /// Follows the pickle up to STOP, or to where it cannot be followed.
  ///
  /// - Throws: what reading throws.
  mutating func run() throws {
    do {
      while true {
        let offset = input.position
        opcodeCount += 1
        let opcode = try input.opcode()
        if opcode == .stop { break }
        try run(opcode, at: offset)
      }
      isComplete = true
      input.endPickle()
      end = input.position
      if stack.count > floor {
        result = stack.last
      } else {
        odd("the pickle ends without a value", at: input.position - 1)
      }
    } catch let stop as EffectStop {
      problems.append(PickleProblem(what: stop.what, offset: stop.offset, rating: stop.rating))
      end = input.position
      guard stop.rating < .dangerous, opcodeCount > 1, let name = try input.actingName() else {
        return
      }
      odd("behind the damage stands \(name)", at: end, .dangerous)
    }
  }

  /// Records what no pickler writes, and what might still be followed.
  mutating func odd(_ what: String, at offset: Int, _ rating: GlobalRating = .unknown) {
    guard !problems.contains(where: { $0.what == what }), problems.count < 100 else { return }
    problems.append(PickleProblem(what: what, offset: offset, rating: rating))
  }

  // MARK: - The stack

  private var floor: Int { marks.last ?? 0 }

  mutating func push(_ value: EffectValue) throws {
    guard stack.count < Self.stackLimit else { throw tooMuch("objects") }
    if case .name(let number) = value { tables[number].mentions += 1 }
    stack.append(value)
  }

  private func tooMuch(_ what: String) -> EffectStop {
    EffectStop(
      what: "it has more \(what) at a time than are followed", offset: input.position,
      rating: .dangerous)
  }

  private func underflow() -> EffectStop {
    EffectStop(what: "an opcode takes more than there is", offset: input.position)
  }

  mutating func pop() throws -> EffectValue {
    guard stack.count > floor, let value = stack.popLast() else { throw underflow() }
    return value
  }

  private func top() throws -> EffectValue {
    guard stack.count > floor, let value = stack.last else { throw underflow() }
    return value
  }

  private mutating func popToMark() throws -> ArraySlice<EffectValue> {
    guard let mark = marks.popLast() else { throw underflow() }
    let items = Array(stack[mark...])
    stack.removeSubrange(mark...)
    return items[...]
  }

  /// The items above the last mark; only whether they are hashable matters.
  private mutating func popItems(
    _ opcode: Opcode, at offset: Int
  ) throws -> (count: Int, areKeysHashable: Bool) {
    guard let mark = marks.popLast() else { throw underflow() }
    let items = stack[mark...]
    let step = opcode == .setItems || opcode == .dict ? 2 : 1
    var areHashable = true
    for index in stride(from: items.startIndex, to: items.endIndex, by: step) {
      areHashable = areHashable && tables.isHashable(items[index])
    }
    defer { stack.removeSubrange(mark...) }
    if step == 2, !items.count.isMultiple(of: 2) {
      throw EffectStop(what: "a key without a value", offset: offset)
    }
    return (items.count, areHashable)
  }

  // MARK: - The memo

  private mutating func memoize(as index: UInt64, at offset: Int) throws {
    let value = try top()
    if index >= 1 << 24, index / 4 > UInt64(memoCount) {
      // The C module needs memory for all smaller numbers, pickle.py does not.
      input.dispute("a memo number that needs much memory", at: offset)
    }
    if index < UInt64(memo.count) {
      if memo[Int(index)] == nil { memoCount += 1 }
      memo[Int(index)] = value
    } else if index <= UInt64(memo.count) + 1024, memo.count < Self.memoLimit {
      while UInt64(memo.count) < index {
        memo.append(farMemo.removeValue(forKey: UInt64(memo.count)))
      }
      if farMemo.removeValue(forKey: index) == nil { memoCount += 1 }
      memo.append(value)
    } else if memo.count >= Self.memoLimit, index == UInt64(memoCount), !isRare(value) {
      // Of the many numbers in a large pickle, only those of names are kept.
      memoCount += 1
      forgotten = max(forgotten, index + 1)
    } else {
      guard farMemo.count < Self.memoLimit / 8 else { throw tooMuch("memo entries") }
      if farMemo.updateValue(value, forKey: index) == nil, index >= forgotten { memoCount += 1 }
      if index == UInt64(memoCount) - 1 { forgotten = max(forgotten, index + 1) }
    }
  }

  private func isRare(_ value: EffectValue) -> Bool {
    if case .name = value { true } else { false }
  }

  private mutating func recall(_ index: UInt64, at offset: Int) throws {
    let value = index < UInt64(memo.count) ? memo[Int(index)] : farMemo[index]
    if value == nil, index >= UInt64(memo.count), index < forgotten { return try push(.unknown) }
    guard let value else {
      throw EffectStop(what: "object \(index) is mentioned before it is there", offset: offset)
    }
    try push(value)
  }

  private mutating func memoNumber(at offset: Int) throws -> UInt64 {
    let line = try input.line(keeping: 4096) ?? []
    let (number, reading) = NumberLine.memoNumber(line[...])
    guard reading != .invalid else {
      throw EffectStop(what: "a memo number that is none", offset: offset)
    }
    if reading == .disputed || number == nil {
      input.dispute("a memo number that readers understand differently", at: offset)
    }
    return number ?? .max
  }

  // MARK: - Opcodes

  private mutating func run(_ opcode: Opcode, at offset: Int) throws {
    switch opcode {
    case .stop: break
    case .proto:
      version = Int(try input.number(1))
      guard version <= 5 else {
        throw EffectStop(what: "pickle protocol \(version)", offset: offset)
      }
    case .frame: try input.beginFrame()
    case .mark:
      guard marks.count < Self.markLimit else { throw tooMuch("marks") }
      marks.append(stack.count)
    case .pop:
      if let mark = marks.last, stack.count == mark {
        marks.removeLast()
      } else {
        _ = try pop()
      }
    case .popMark:
      guard let mark = marks.popLast() else { throw underflow() }
      stack.removeSubrange(mark...)
    case .dup: try push(try top())

    case .get: try recall(try memoNumber(at: offset), at: offset)
    case .binGet: try recall(try input.number(1), at: offset)
    case .longBinGet: try recall(try input.number(4), at: offset)
    case .put: try memoize(as: try memoNumber(at: offset), at: offset)
    case .binPut: try memoize(as: try input.number(1), at: offset)
    case .longBinPut: try memoize(as: try input.number(4), at: offset)
    case .memoize: try memoize(as: UInt64(memoCount), at: offset)

    case .none: try push(.plain(.none))
    case .newTrue, .newFalse: try push(.plain(.bool))
    case .int, .binInt, .binInt1, .binInt2, .long, .long1, .long4, .float, .binFloat, .string,
      .binString, .shortBinString, .unicode, .binUnicode, .shortBinUnicode, .binUnicode8, .binBytes,
      .shortBinBytes, .binBytes8, .byteArray8:
      try push(try constant(opcode, at: offset))
    case .emptyTuple, .tuple1, .tuple2, .tuple3, .tuple, .emptyList, .emptyDict, .emptySet, .list,
      .dict, .frozenSet:
      try push(try container(opcode, at: offset))
    case .append, .appends, .addItems, .setItem, .setItems, .build:
      try change(opcode, at: offset)
    case .global, .inst, .stackGlobal, .ext1, .ext2, .ext4:
      try name(opcode, at: offset)
    case .reduce, .newObj, .newObjEx, .obj:
      try create(opcode, at: offset)
    case .persID:
      guard try input.line(keeping: 4096)?.allSatisfy({ $0 < 0x80 }) ?? true else {
        throw EffectStop(what: "a persistent ID that is no ASCII", offset: offset)
      }
      try push(.persistent)
    case .binPersID: try push(persistent(try pop()))
    case .nextBuffer:
      odd("it needs buffers that are not in the file", at: offset)
      try push(.plain(.bytes))
    case .readOnlyBuffer:
      odd("it needs buffers that are not in the file", at: offset)
      _ = try top()
    }
  }

  private mutating func container(_ opcode: Opcode, at offset: Int) throws -> EffectValue {
    switch opcode {
    case .emptyTuple: return tables.add(tuple: [])
    case .tuple1, .tuple2, .tuple3:
      let count = opcode == .tuple1 ? 1 : opcode == .tuple2 ? 2 : 3
      guard stack.count - floor >= count else { throw underflow() }
      let tuple = tables.add(tuple: stack[(stack.count - count)...])
      stack.removeLast(count)
      return tuple
    case .tuple:
      guard let mark = marks.popLast() else { throw underflow() }
      defer { stack.removeSubrange(mark...) }
      return tables.add(tuple: stack[mark...])
    case .emptyList: return .container(.list)
    case .emptyDict: return .container(.dict)
    case .emptySet: return .container(.set)
    default:
      let items = try popItems(opcode, at: offset)
      guard opcode == .list || items.areKeysHashable else { throw unhashable(offset) }
      return .container(opcode == .list ? .list : opcode == .dict ? .dict : .frozenSet)
    }
  }

  private func unhashable(_ offset: Int) -> EffectStop {
    EffectStop(what: "a key that is no key", offset: offset)
  }

  private mutating func name(_ opcode: Opcode, at offset: Int) throws {
    switch opcode {
    case .global: try push(try named(try lines(at: offset, isASCII: false), at: offset))
    case .inst:
      // Where there is no mark, `pickle.py` imports the name before it fails.
      let cls = try named(try lines(at: offset, isASCII: true), at: offset)
      try push(cls)
      _ = try pop()
      let arguments = tables.add(tuple: try popToMark())
      try push(try call(cls, arguments, at: offset))
    case .stackGlobal:
      let name = try pop()
      let module = try pop()
      try push(try named(module, name, at: offset))
    default:
      let code = try input.number(opcode == .ext1 ? 1 : opcode == .ext2 ? 2 : 4)
      guard code > 0, code <= UInt64(Int32.max) else {
        throw EffectStop(what: "extension code \(code)", offset: offset)
      }
      try push(try extensionName(Int(code), at: offset))
    }
  }

  private mutating func create(_ opcode: Opcode, at offset: Int) throws {
    switch opcode {
    case .obj:
      let items = try popToMark()
      guard let cls = items.first else { throw underflow() }
      let arguments = tables.add(tuple: items.dropFirst())
      try push(try call(cls, arguments, at: offset))
    case .newObj, .newObjEx:
      if opcode == .newObjEx, case let keywords = try pop() {
        if case .container(.dict) = keywords {
        } else {
          odd("keyword arguments that are no dict", at: offset, .dangerous)
        }
      }
      let arguments = try pop()
      let cls = try pop()
      if tables.origin(cls) != nil {
        // The C module refuses an instance here, pickle.py does not.
        input.dispute("an instance in the place of a class", at: offset)
      }
      try push(try call(cls, arguments, at: offset))
    default:
      let arguments = try pop()
      try push(try call(try pop(), arguments, at: offset))
    }
  }

  private mutating func change(_ opcode: Opcode, at offset: Int) throws {
    switch opcode {
    case .append:
      _ = try pop()
      try append(to: try top(), isEmpty: false, at: offset)
    case .appends:
      let isEmpty = try popItems(opcode, at: offset).count == 0
      try append(to: try top(), isEmpty: isEmpty, at: offset)
    case .addItems:
      let items = try popItems(opcode, at: offset)
      let target = try top()
      if case .container(.set) = target, !items.areKeysHashable { throw unhashable(offset) }
      try add(to: target, isEmpty: items.count == 0, at: offset)
    case .setItem:
      _ = try pop()
      let key = try pop()
      let target = try top()
      if case .container(.dict) = target, !tables.isHashable(key) { throw unhashable(offset) }
      try setItem(of: target, isEmpty: false, at: offset)
    case .setItems:
      let items = try popItems(opcode, at: offset)
      let target = try top()
      if case .container(.dict) = target, !items.areKeysHashable { throw unhashable(offset) }
      try setItem(of: target, isEmpty: items.count == 0, at: offset)
    default:
      let state = try pop()
      try build(try top(), state, at: offset)
    }
  }
}
