internal import CkptBytes

/// The objects that a pickle describes, as data: nothing in it is ever imported or called.
///
/// Every object has a number, its ``Ref``. An object that the pickle mentions twice has one number, so
/// sharing and cycles are kept as Python's `is` sees them. The graph is a value: a copy can be edited
/// without the original noticing.
package struct PickleGraph: Sendable {
  /// The number of an object in its graph.
  package struct Ref: Hashable, Sendable {
    /// The object's place in ``PickleGraph/nodes``.
    package let index: UInt32

    /// The object at `index`.
    package init(index: UInt32) { self.index = index }
    init(_ index: Int) { self.index = UInt32(truncatingIfNeeded: index) }
    var slot: Int { Int(index) }
  }

  /// A run of bytes in the graph's pool.
  package struct Bytes: Sendable {
    let start: UInt32
    let byteCount: UInt32
    var range: Range<Int> { Int(start)..<Int(start) + Int(byteCount) }
    /// How many bytes there are.
    package var count: Int { Int(byteCount) }
  }

  /// What an object is.
  package enum Node: Sendable {
    /// `None`.
    case none
    /// `True` or `False`.
    case bool(Bool)
    /// An int that fits 64 bits.
    case int(Int64)
    /// An int that does not: two's complement, little-endian, no byte more than needed.
    case bigInt(Bytes)
    /// A float's bit pattern, so that a NaN keeps its payload.
    case float(UInt64)
    /// A str: UTF-8 in which lone surrogates are encoded too (Python's `surrogatepass`).
    case string(Bytes)
    /// A str that Python 2 wrote: bytes whose encoding the pickle does not tell.
    case byteString(Bytes)
    /// A bytes object.
    case bytes(Bytes)
    /// A bytearray.
    case byteArray(Bytes)
    /// A class or function, by its name's number; see ``PickleGraph/global(_:)``.
    case global(UInt32)
    /// A class or function by its number in `copyreg`'s registry.
    case extensionCode(Int32)
    /// A tuple; see ``PickleGraph/items(of:)``.
    case tuple(first: UInt32, count: UInt32)
    /// What the loader's `persistent_load` makes of the object: for PyTorch, a storage.
    case persistentID(Ref)
    /// An object that is first made, then filled; see ``PickleGraph/body(of:)``.
    case object(body: UInt32)
  }

  /// How an object comes to be.
  package enum Construction: Sendable {
    /// `[]`.
    case list
    /// `{}`.
    case dict
    /// `set()`, as protocol 4 writes it.
    case set
    /// `frozenset(items)`, as protocol 4 writes it; the items are a tuple.
    case frozenSet(items: Ref)
    /// `callable(*arguments)`.
    case reduce(callable: Ref, arguments: Ref)
    /// `cls.__new__(cls, *arguments)`.
    case newObject(cls: Ref, arguments: Ref)
    /// `cls.__new__(cls, *arguments, **keywords)`.
    case newObjectWithKeywords(cls: Ref, arguments: Ref, keywords: Ref)
  }

  /// What is done to an object after it has been made.
  package enum Edit: Sendable {
    /// `object.append(item)`.
    case append(Ref)
    /// `object[key] = value`.
    case setItem(key: Ref, value: Ref)
    /// `object.add(item)`.
    case add(Ref)
    /// `object.__setstate__(state)`, or the attributes in `state` are set.
    case build(Ref)
    /// A call that takes the object as its first argument and whose result is dropped (a state
    /// setter of `copyreg`); the call is an object of its own.
    case call(Ref)
  }

  /// An object's construction and the edits that follow, in order.
  package struct Body: Sendable {
    /// How the object comes to be.
    package var construction: Construction
    /// What is done to it then.
    package var edits: [Edit]

    /// An object of `construction`, filled by `edits`.
    package init(_ construction: Construction, edits: [Edit] = []) {
      self.construction = construction
      self.edits = edits
    }
  }

  /// All objects; those that nothing mentions any more included.
  package internal(set) var nodes = ChunkedArray<Node>()
  /// The object that the pickle as a whole stands for.
  package var root = Ref(index: 0)
  /// The protocol that the pickle declared, 0 if none.
  package internal(set) var declaredProtocol = 0

  /// Bytes of strings, names and big ints; the pickle itself to begin with, so that decoding copies
  /// no text.
  var pool: SealedRuns<UInt8>
  var tupleItems = SealedRuns<Ref>()
  var bodies = ChunkedArray<Body>()
  var names: [(module: Bytes, name: Bytes)] = []
  /// Runs that were left in a file, by the start of what stands for them in the pool.
  var outside: [UInt32: FileRegion] = [:]

  /// An empty graph, to be filled by hand.
  package init() { pool = SealedRuns() }

  init(pool: [UInt8]) { self.pool = SealedRuns(pool) }

  /// Makes copies cheap from now on: those that are edited share what is here now.
  package mutating func seal() {
    pool.seal()
    tupleItems.seal()
  }
}

// MARK: - Looking at objects

extension PickleGraph {
  /// What the object `ref` is; `ref` must come from this graph.
  package subscript(_ ref: Ref) -> Node { nodes[ref.slot] }

  /// The items of a tuple; nil if `ref` is no tuple.
  package func items(of ref: Ref) -> ArraySlice<Ref>? {
    guard case .tuple(let first, let count) = nodes[ref.slot] else { return nil }
    return tupleItems[Int(first)..<Int(first) + Int(count)]
  }

  /// How an object was made and filled; nil if `ref` is a plain value, a tuple or a name.
  package func body(of ref: Ref) -> Body? {
    guard case .object(let body) = nodes[ref.slot] else { return nil }
    return bodies[Int(body)]
  }

  /// The bytes of a run.
  package func bytes(_ run: Bytes) -> ArraySlice<UInt8> { pool[run.range] }

  /// The text of a str, nil if `ref` is no str or holds lone surrogates.
  ///
  /// A str that Python 2 wrote counts if it is UTF-8, as `torch.load` reads it.
  package func text(_ ref: Ref) -> String? {
    switch nodes[ref.slot] {
    case .string(let run), .byteString(let run): String(validating: pool[run.range], as: UTF8.self)
    default: nil
    }
  }

  /// An int that fits `Int`, nil if `ref` is none (a bool is none).
  package func int(_ ref: Ref) -> Int? {
    guard case .int(let value) = nodes[ref.slot] else { return nil }
    return Int(exactly: value)
  }

  /// A bool, nil if `ref` is none.
  package func bool(_ ref: Ref) -> Bool? {
    guard case .bool(let value) = nodes[ref.slot] else { return nil }
    return value
  }

  /// The module and name of a class or function, nil if `ref` is none.
  package func global(_ ref: Ref) -> (module: String, name: String)? {
    guard let (module, name) = nameBytes(ref) else { return nil }
    return (
      String(decoding: bytes(module), as: UTF8.self), String(decoding: bytes(name), as: UTF8.self)
    )
  }

  /// The same as UTF-8, without a copy.
  package func nameBytes(_ ref: Ref) -> (module: Bytes, name: Bytes)? {
    guard case .global(let number) = nodes[ref.slot] else { return nil }
    return names[Int(number)]
  }

  /// The ints of a tuple or a list, nil if `ref` is neither or holds others.
  package func ints(_ ref: Ref) -> [Int]? {
    var result: [Int] = []
    if let items = items(of: ref) {
      for item in items {
        guard let value = int(item) else { return nil }
        result.append(value)
      }
      return result
    }
    guard let body = body(of: ref), case .list = body.construction else { return nil }
    for edit in body.edits {
      guard case .append(let item) = edit, let value = int(item) else { return nil }
      result.append(value)
    }
    return result
  }
}

// MARK: - Making objects

extension PickleGraph {
  /// Adds an object and gives its number.
  @discardableResult
  package mutating func add(_ node: Node) -> Ref {
    nodes.append(node)
    return Ref(nodes.count - 1)
  }

  /// Adds a str.
  package mutating func addString(_ text: some StringProtocol) -> Ref {
    add(.string(intern(text.utf8)))
  }

  /// Adds an int.
  package mutating func addInt(_ value: Int) -> Ref { add(.int(Int64(value))) }

  /// Adds a bool.
  package mutating func addBool(_ value: Bool) -> Ref { add(.bool(value)) }

  /// Adds a class or function by name.
  package mutating func addGlobal(_ module: String, _ name: String) -> Ref {
    let module = intern(module.utf8)
    return addGlobal(module, intern(name.utf8))
  }

  mutating func addGlobal(_ module: Bytes, _ name: Bytes) -> Ref { add(global(module, name)) }

  mutating func global(_ module: Bytes, _ name: Bytes) -> Node {
    names.append((module, name))
    return .global(UInt32(truncatingIfNeeded: names.count - 1))
  }

  /// Adds a tuple.
  package mutating func addTuple(_ items: some Collection<Ref>) -> Ref {
    add(tuple(items))
  }

  mutating func tuple(_ items: some Collection<Ref>) -> Node {
    let run = tupleItems.append(items)
    return .tuple(
      first: UInt32(truncatingIfNeeded: run.lowerBound),
      count: UInt32(truncatingIfNeeded: run.count))
  }

  /// Adds an object that is made and then filled.
  package mutating func addObject(_ construction: Construction, edits: [Edit] = []) -> Ref {
    bodies.append(Body(construction, edits: edits))
    return add(.object(body: UInt32(truncatingIfNeeded: bodies.count - 1)))
  }

  /// Replaces what the object `ref` is; everything that mentions it sees the change.
  package mutating func replace(_ ref: Ref, with node: Node) { nodes[ref.slot] = node }

  /// Replaces how the object `ref` is made and filled; everything that mentions it sees the change.
  package mutating func replaceBody(of ref: Ref, with body: Body) {
    if case .object(let old) = nodes[ref.slot] {
      bodies[Int(old)] = body
    } else {
      bodies.append(body)
      nodes[ref.slot] = .object(body: UInt32(truncatingIfNeeded: bodies.count - 1))
    }
  }

  /// Puts bytes into the pool.
  package mutating func intern(_ bytes: some Sequence<UInt8>) -> Bytes {
    let run = pool.append(bytes)
    return Bytes(
      start: UInt32(truncatingIfNeeded: run.lowerBound),
      byteCount: UInt32(truncatingIfNeeded: run.count))
  }

  /// Appends an edit to the body of `ref`; false if it is no object that can be edited.
  mutating func edit(_ ref: Ref, _ edit: Edit) -> Bool {
    guard case .object(let body) = nodes[ref.slot] else { return false }
    bodies[Int(body)].edits.append(edit)
    return true
  }
}
