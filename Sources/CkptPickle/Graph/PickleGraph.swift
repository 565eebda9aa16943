internal import CkptBytes

/// The objects that a pickle describes, as data. Nothing is imported or called.
///
/// Every object has a number, its ``Ref``. An object that occurs more than once in the pickle has
/// one number, so that shared references and cycles are preserved (`is` in Python). The graph is a
/// value type: editing a copy does not change the original.
package struct PickleGraph: Sendable {
  /// The number of an object in its graph.
  package struct Ref: Hashable, Sendable {
    /// The object's index in ``PickleGraph/nodes``.
    package let index: UInt32

    /// Creates a reference to the object at `index`.
    package init(index: UInt32) { self.index = index }
    init(_ index: Int) { self.index = UInt32(truncatingIfNeeded: index) }
    var slot: Int { Int(index) }
  }

  /// A range of bytes in the graph's pool.
  package struct Bytes: Sendable {
    let start: UInt32
    let byteCount: UInt32
    var range: Range<Int> { Int(start)..<Int(start) + Int(byteCount) }
    /// The number of bytes.
    package var count: Int { Int(byteCount) }
  }

  /// The type and value of an object.
  package enum Node: Sendable {
    /// `None`.
    case none
    /// `True` or `False`.
    case bool(Bool)
    /// An int that fits in 64 bits.
    case int(Int64)
    /// A larger int, in minimal two's complement, little-endian.
    case bigInt(Bytes)
    /// A float, as its bit pattern, which preserves the payload of a NaN.
    case float(UInt64)
    /// A str, in UTF-8; lone surrogates are encoded like other code points (Python's
    /// `surrogatepass`).
    case string(Bytes)
    /// A str written by Python 2: bytes of unknown encoding.
    case byteString(Bytes)
    /// A bytes object.
    case bytes(Bytes)
    /// A bytearray.
    case byteArray(Bytes)
    /// A class or function, by the number of its name; see ``PickleGraph/global(_:)``.
    case global(UInt32)
    /// A class or function by its number in `copyreg`'s registry.
    case extensionCode(Int32)
    /// A tuple; see ``PickleGraph/items(of:)``.
    case tuple(first: UInt32, count: UInt32)
    /// The result of the loader's `persistent_load` for an ID; a storage in PyTorch's files.
    case persistentID(Ref)
    /// An object that is constructed and then edited; see ``PickleGraph/body(of:)``.
    case object(body: UInt32)
  }

  /// How an object is constructed.
  package enum Construction: Sendable {
    /// `[]`.
    case list
    /// `{}`.
    case dict
    /// `set()`, by protocol 4's opcode.
    case set
    /// `frozenset(items)`, by protocol 4's opcode; `items` is a tuple.
    case frozenSet(items: Ref)
    /// `callable(*arguments)`.
    case reduce(callable: Ref, arguments: Ref)
    /// `cls.__new__(cls, *arguments)`.
    case newObject(cls: Ref, arguments: Ref)
    /// `cls.__new__(cls, *arguments, **keywords)`.
    case newObjectWithKeywords(cls: Ref, arguments: Ref, keywords: Ref)
  }

  /// A change to an object after its construction.
  package enum Edit: Sendable {
    /// `object.append(item)`.
    case append(Ref)
    /// `object[key] = value`.
    case setItem(key: Ref, value: Ref)
    /// `object.add(item)`.
    case add(Ref)
    /// `object.__setstate__(state)`, or an assignment of the attributes in `state`.
    case build(Ref)
    /// A call with the object as its first argument, whose result is discarded (a state setter of
    /// `copyreg`). The call is a separate object.
    case call(Ref)
  }

  /// An object's construction and the edits that follow it, in order.
  package struct Body: Sendable {
    /// How the object is constructed.
    package var construction: Construction
    /// The changes after the construction, in order.
    package var edits: [Edit]

    /// Creates the body of an object that is constructed and then edited.
    package init(_ construction: Construction, edits: [Edit] = []) {
      self.construction = construction
      self.edits = edits
    }
  }

  /// All objects, including those that are no longer referenced.
  package internal(set) var nodes = ChunkedArray<Node>()
  /// The top-level object of the pickle.
  package var root = Ref(index: 0)
  /// The protocol number that the pickle declares; 0 if it declares none.
  package internal(set) var declaredProtocol = 0

  /// The bytes of strings, names, and large ints. Initially this is the pickle itself, so that
  /// decoding does not copy text.
  var pool: SealedRuns<UInt8>
  var tupleItems = SealedRuns<Ref>()
  var bodies = ChunkedArray<Body>()
  var names: [(module: Bytes, name: Bytes)] = []
  /// The byte ranges of objects that were left in a file, by the pool offset of their placeholder.
  var outside: [UInt32: FileRegion] = [:]

  /// Creates an empty graph, to which objects can be added.
  package init() { pool = SealedRuns() }

  init(pool: [UInt8]) { self.pool = SealedRuns(pool) }

  /// Seals the current content, so that copies of the graph share it when they are edited.
  package mutating func seal() {
    pool.seal()
    tupleItems.seal()
  }
}

// MARK: - Looking at objects

extension PickleGraph {
  /// The type and value of the object `ref`, which must belong to this graph.
  package subscript(_ ref: Ref) -> Node { nodes[ref.slot] }

  /// The items of a tuple; nil if `ref` is not a tuple.
  package func items(of ref: Ref) -> ArraySlice<Ref>? {
    guard case .tuple(let first, let count) = nodes[ref.slot] else { return nil }
    return tupleItems[Int(first)..<Int(first) + Int(count)]
  }

  /// The construction and the edits of an object; nil if `ref` is a plain value, a tuple, or a
  /// global.
  package func body(of ref: Ref) -> Body? {
    guard case .object(let body) = nodes[ref.slot] else { return nil }
    return bodies[Int(body)]
  }

  /// The bytes in a range of the pool.
  package func bytes(_ run: Bytes) -> ArraySlice<UInt8> { pool[run.range] }

  /// The text of a str; nil if `ref` is not a str or contains lone surrogates.
  ///
  /// A str written by Python 2 is accepted if it is UTF-8, as in `torch.load`.
  package func text(_ ref: Ref) -> String? {
    switch nodes[ref.slot] {
    case .string(let run), .byteString(let run): String(validating: pool[run.range], as: UTF8.self)
    default: nil
    }
  }

  /// The value of an int that fits in `Int`; nil for other objects, including bools.
  package func int(_ ref: Ref) -> Int? {
    guard case .int(let value) = nodes[ref.slot] else { return nil }
    return Int(exactly: value)
  }

  /// The value of a bool; nil for other objects.
  package func bool(_ ref: Ref) -> Bool? {
    guard case .bool(let value) = nodes[ref.slot] else { return nil }
    return value
  }

  /// The module and name of a class or function; nil for other objects.
  package func global(_ ref: Ref) -> (module: String, name: String)? {
    guard let (module, name) = nameBytes(ref) else { return nil }
    return (
      String(decoding: bytes(module), as: UTF8.self), String(decoding: bytes(name), as: UTF8.self)
    )
  }

  /// The module and name of a class or function as pool ranges (UTF-8); nil for other objects.
  package func nameBytes(_ ref: Ref) -> (module: Bytes, name: Bytes)? {
    guard case .global(let number) = nodes[ref.slot] else { return nil }
    return names[Int(number)]
  }

  /// The values of a tuple or list of ints; nil for other objects, or if an item is not an int.
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
  /// Adds an object and returns its number.
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

  /// Adds an object that is constructed and then edited.
  package mutating func addObject(_ construction: Construction, edits: [Edit] = []) -> Ref {
    bodies.append(Body(construction, edits: edits))
    return add(.object(body: UInt32(truncatingIfNeeded: bodies.count - 1)))
  }

  /// Replaces the object `ref`; all references to it refer to the new object.
  package mutating func replace(_ ref: Ref, with node: Node) { nodes[ref.slot] = node }

  /// Replaces the construction and the edits of the object `ref`; all references to it refer to the
  /// new object.
  package mutating func replaceBody(of ref: Ref, with body: Body) {
    if case .object(let old) = nodes[ref.slot] {
      bodies[Int(old)] = body
    } else {
      bodies.append(body)
      nodes[ref.slot] = .object(body: UInt32(truncatingIfNeeded: bodies.count - 1))
    }
  }

  /// Appends bytes to the pool and returns their range.
  package mutating func intern(_ bytes: some Sequence<UInt8>) -> Bytes {
    let run = pool.append(bytes)
    return Bytes(
      start: UInt32(truncatingIfNeeded: run.lowerBound),
      byteCount: UInt32(truncatingIfNeeded: run.count))
  }

  /// Appends an edit to the body of `ref`; returns false if the object has no body.
  mutating func edit(_ ref: Ref, _ edit: Edit) -> Bool {
    guard case .object(let body) = nodes[ref.slot] else { return false }
    bodies[Int(body)].edits.append(edit)
    return true
  }
}
