/// Writes a graph as a pickle of protocol 2, walking and memoising as CPython's C pickler does, so that
/// a pickle that Python wrote comes out byte for byte.
///
/// Protocol 2 is what `torch.load(weights_only=True)` reads; kinds of objects that it has no opcode for
/// are put the way Python's own pickler puts them (see `PickleLowering.swift`).
struct PickleEncoder {
  typealias Ref = PickleGraph.Ref

  /// What is still to be done, last first; the pickler's recursion, turned inside out.
  private enum Task {
    case save(Ref)
    case opcode(Opcode)
    case memoize(Ref)
    case endTuple(Ref)
    case endConstruction(Ref, Opcode)
    case edits(Ref, from: Int)
  }

  private let graph: PickleGraph
  private var output: [UInt8] = []
  private var tasks: [Task] = []
  /// The memo number of each object, plus one; 0 is none.
  private var memo: [UInt32]
  private var memoCount: UInt32 = 0
  /// How often an object was begun and not finished; only cycles through a tuple or arguments begin
  /// one twice.
  private var begun: [UInt8]

  init(_ graph: PickleGraph) {
    self.graph = graph
    memo = [UInt32](repeating: 0, count: graph.nodes.count)
    begun = [UInt8](repeating: 0, count: graph.nodes.count)
    // More than is needed, mostly; pages that are not touched cost nothing, and growing would cost both.
    output.reserveCapacity(min(graph.pool.count + graph.nodes.count * 4, 1 << 30))
  }

  mutating func encode() throws -> [UInt8] {
    output = [Opcode.proto.rawValue, 2]
    tasks = [.opcode(.stop), .save(graph.root)]
    while let task = tasks.popLast() {
      switch task {
      case .save(let ref): try save(ref)
      case .opcode(let opcode): put(opcode)
      case .memoize(let ref): memoize(ref)
      case .endTuple(let ref): endTuple(ref)
      case .endConstruction(let ref, let opcode): endConstruction(ref, opcode)
      case .edits(let ref, let index): try edits(of: ref, from: index)
      }
    }
    return output
  }

  // MARK: Bytes

  private mutating func put(_ opcode: Opcode) { output.append(opcode.rawValue) }

  private mutating func put(_ value: UInt64, bytes: Int) {
    for index in 0..<bytes { output.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * index))) }
  }

  private mutating func memoize(_ ref: Ref) {
    if memoCount < 256 {
      put(.binPut)
      put(UInt64(memoCount), bytes: 1)
    } else {
      put(.longBinPut)
      put(UInt64(memoCount), bytes: 4)
    }
    memoCount += 1
    memo[ref.slot] = memoCount
  }

  private mutating func recall(_ number: UInt32) {
    if number <= 256 {
      put(.binGet)
      put(UInt64(number - 1), bytes: 1)
    } else {
      put(.longBinGet)
      put(UInt64(number - 1), bytes: 4)
    }
  }

  // MARK: Objects

  private mutating func save(_ ref: Ref) throws {
    let number = memo[ref.slot]
    if number != 0 {
      recall(number)
      return
    }
    switch graph.nodes[ref.slot] {
    case .none: put(.none)
    case .bool(let value): put(value ? .newTrue : .newFalse)
    case .int(let value): put(int: value)
    case .bigInt(let run): try put(bigInt: graph.pool[run.range])
    case .float(let bits):
      put(.binFloat)
      put(bits.byteSwapped, bytes: 8)
    case .string(let run):
      put(.binUnicode)
      put(UInt64(run.count), bytes: 4)
      output.append(contentsOf: graph.pool[run.range])
      memoize(ref)
    case .byteString(let run):
      let isShort = run.count < 256
      put(isShort ? .shortBinString : .binString)
      put(UInt64(run.count), bytes: isShort ? 1 : 4)
      output.append(contentsOf: graph.pool[run.range])
      memoize(ref)
    case .global:
      guard let (module, name) = graph.nameBytes(ref) else { return }
      put(.global)
      for run in [module, name] {
        guard !graph.pool[run.range].contains(0x0A) else {
          throw PickleError.cannotEncode(what: "a global whose name has a line break")
        }
        output.append(contentsOf: graph.pool[run.range])
        output.append(0x0A)
      }
      memoize(ref)
    case .extensionCode(let code):
      let size = code <= 0xFF ? 1 : code <= 0xFFFF ? 2 : 4
      put(size == 1 ? .ext1 : size == 2 ? .ext2 : .ext4)
      put(UInt64(code), bytes: size)
    case .persistentID(let id):
      tasks.append(.opcode(.binPersID))
      tasks.append(.save(id))
    case .tuple(let first, let count): try beginTuple(ref, first: Int(first), count: Int(count))
    case .object(let body): try begin(ref, graph.bodies[Int(body)])
    case .bytes, .byteArray: throw PickleError.cannotEncode(what: "a value of a later protocol")
    }
  }

  private mutating func put(int value: Int64) {
    guard let small = Int32(exactly: value) else {
      let bytes = BigInt.bytes(value)
      put(.long1)
      put(UInt64(bytes.count), bytes: 1)
      output.append(contentsOf: bytes)
      return
    }
    switch small {
    case 0...0xFF:
      put(.binInt1)
      put(UInt64(small), bytes: 1)
    case 0...0xFFFF:
      put(.binInt2)
      put(UInt64(small), bytes: 2)
    default:
      put(.binInt)
      put(UInt64(UInt32(bitPattern: small)), bytes: 4)
    }
  }

  private mutating func put(bigInt bytes: ArraySlice<UInt8>) throws {
    put(bytes.count < 256 ? .long1 : .long4)
    put(UInt64(bytes.count), bytes: bytes.count < 256 ? 1 : 4)
    output.append(contentsOf: bytes)
  }

  private mutating func begin(_ ref: Ref) throws {
    guard begun[ref.slot] < 100 else { throw PickleError.cannotEncode(what: "a cycle of tuples") }
    begun[ref.slot] += 1
  }

  private mutating func beginTuple(_ ref: Ref, first: Int, count: Int) throws {
    guard count > 0 else {
      put(.emptyTuple)
      return
    }
    try begin(ref)
    if count > 3 { put(.mark) }
    tasks.append(.endTuple(ref))
    for index in (first..<first + count).reversed() { tasks.append(.save(graph.tupleItems[index])) }
  }

  private mutating func endTuple(_ ref: Ref) {
    guard case .tuple(_, let count) = graph.nodes[ref.slot] else { return }
    begun[ref.slot] -= 1
    // A tuple that holds itself has been written, whole, by one of its items.
    if memo[ref.slot] != 0 {
      if count > 3 {
        put(.popMark)
      } else {
        for _ in 0..<count { put(.pop) }
      }
      recall(memo[ref.slot])
      return
    }
    switch count {
    case 1: put(.tuple1)
    case 2: put(.tuple2)
    case 3: put(.tuple3)
    default: put(.tuple)
    }
    memoize(ref)
  }

  private mutating func begin(_ ref: Ref, _ body: PickleGraph.Body) throws {
    switch body.construction {
    case .list, .dict:
      if case .list = body.construction { put(.emptyList) } else { put(.emptyDict) }
      memoize(ref)
      try edits(of: ref, from: 0)
    case .reduce(let callable, let arguments):
      try begin(ref)
      tasks.append(.endConstruction(ref, .reduce))
      tasks.append(.save(arguments))
      tasks.append(.save(callable))
    case .newObject(let cls, let arguments):
      try begin(ref)
      tasks.append(.endConstruction(ref, .newObj))
      tasks.append(.save(arguments))
      tasks.append(.save(cls))
    case .set, .frozenSet, .newObjectWithKeywords:
      throw PickleError.cannotEncode(what: "an object of a later protocol")
    }
  }

  private mutating func endConstruction(_ ref: Ref, _ opcode: Opcode) {
    begun[ref.slot] -= 1
    put(opcode)
    if memo[ref.slot] != 0 {
      put(.pop)
      recall(memo[ref.slot])
      return
    }
    memoize(ref)
    tasks.append(.edits(ref, from: 0))
  }

  // MARK: Edits

  /// Puts one opcode's worth of edits, then comes back for the rest.
  ///
  /// The C pickler's batches: a plain dict or list of one item is put alone, a longer one in batches
  /// of 1000, and a dict that ends with a full batch is followed by an empty one; the items of other
  /// objects come from an iterator, and what is left for the last batch is put alone if it is one.
  private mutating func edits(of ref: Ref, from start: Int) throws {
    guard case .object(let index) = graph.nodes[ref.slot] else { return }
    let body = graph.bodies[Int(index)]
    guard start < body.edits.count else { return }
    switch body.edits[start] {
    case .build(let state):
      tasks.append(.edits(ref, from: start + 1))
      tasks.append(.opcode(.build))
      tasks.append(.save(state))
    case .call(let call):
      guard case .reduce(let callable, let arguments)? = graph.body(of: call)?.construction else {
        throw PickleError.cannotEncode(what: "a state setter that is no call")
      }
      tasks.append(.edits(ref, from: start + 1))
      tasks.append(.opcode(.pop))
      tasks.append(.opcode(.reduce))
      tasks.append(.save(arguments))
      tasks.append(.save(callable))
    case .add: throw PickleError.cannotEncode(what: "a set of a later protocol")
    case .append: batch(ref, body, from: start, one: .append, many: .appends)
    case .setItem: batch(ref, body, from: start, one: .setItem, many: .setItems)
    }
  }

  private mutating func batch(
    _ ref: Ref, _ body: PickleGraph.Body, from start: Int, one: Opcode, many: Opcode
  ) {
    func isSame(_ edit: PickleGraph.Edit) -> Bool {
      switch edit {
      case .append: one == .append
      case .setItem: one == .setItem
      default: false
      }
    }
    var end = start
    while end < body.edits.count, end - start < 1000, isSame(body.edits[end]) { end += 1 }
    let isLast = end == body.edits.count || !isSame(body.edits[end])
    let isFirst = start == 0 || !isSame(body.edits[start - 1])
    let isPlainDict = if case .dict = body.construction { true } else { false }
    let isPlainList = if case .list = body.construction { true } else { false }
    tasks.append(.edits(ref, from: end))
    let isAlone = end - start == 1 && isLast && (isFirst || !(isPlainDict || isPlainList))
    if isPlainDict, isLast, end - start == 1000 {
      tasks.append(.opcode(many))
      tasks.append(.opcode(.mark))
    }
    tasks.append(.opcode(isAlone ? one : many))
    for edit in body.edits[start..<end].reversed() {
      switch edit {
      case .setItem(let key, let value):
        tasks.append(.save(value))
        tasks.append(.save(key))
      case .append(let item), .add(let item), .build(let item), .call(let item):
        tasks.append(.save(item))
      }
    }
    if !isAlone { put(.mark) }
  }
}

extension PickleGraph {
  /// The graph as a pickle of protocol 2.
  ///
  /// - Throws: ``PickleError/cannotEncode(what:)`` for what protocol 2 cannot say,
  ///   ``PickleError/tooMuchOutside(byteCount:limit:)``; `FileError` where a file cannot be read that holds runs
  ///   of its bytes.
  package func encoded() throws -> [UInt8] {
    var lowered = self
    try lowered.bringInAll()
    lowered.lowerToProtocol2()
    var encoder = PickleEncoder(lowered)
    let bytes = try encoder.encode()
    guard bytes.count <= Int(Int32.max) else { throw PickleError.tooLarge(byteCount: bytes.count) }
    return bytes
  }
}
