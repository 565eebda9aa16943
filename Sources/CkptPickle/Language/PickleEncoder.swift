/// Encodes a graph as a pickle of protocol 2. The order of objects and memo entries is that of
/// CPython's C pickler, so that a pickle written by Python is reproduced byte for byte.
///
/// `torch.load(weights_only=True)` reads protocol 2. Objects without an opcode in it are encoded as
/// Python's own pickler does (see `PickleLowering.swift`).
struct PickleEncoder {
  typealias Ref = PickleGraph.Ref

  /// A pending step of encoding; the last one is done first. The steps replace the recursion of
  /// Python's pickler.
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
  /// For each object, its memo number plus one; 0 if it is not in the memo.
  private var memo: [UInt32]
  private var memoCount: UInt32 = 0
  /// For each object, how many times its encoding was started and not finished. Only cycles through
  /// a tuple or constructor arguments start one twice.
  private var begun: [UInt8]

  init(_ graph: PickleGraph) {
    self.graph = graph
    memo = [UInt32](repeating: 0, count: graph.nodes.count)
    begun = [UInt8](repeating: 0, count: graph.nodes.count)
    // Usually more than is needed. Untouched pages cost nothing, whereas growing the array would
    // copy it.
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
    // A tuple that contains itself has already been written by one of its items.
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

  /// Writes one batch of edits, and schedules the remaining ones.
  ///
  /// The batches are those of CPython's C pickler. In a plain dict or list, a single item is
  /// written with SETITEM or APPEND, and more items in batches of 1000; a dict that ends with a
  /// full batch is followed by an empty batch. The items of other objects come from an iterator; a
  /// last batch of one item is written with SETITEM or APPEND.
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
  /// Encodes the graph as a pickle of protocol 2.
  ///
  /// - Throws: ``PickleError/cannotEncode(what:)`` for objects that protocol 2 cannot represent;
  ///   ``PickleError/tooMuchOutside(byteCount:limit:)``; `FileError` if data that was left in a
  ///   file cannot be read.
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
