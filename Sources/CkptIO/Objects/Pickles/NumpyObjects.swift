internal import CkptNumpy
internal import CkptPickle
internal import CkptBytes
internal import CkptTensors

/// Interprets the calls by which NumPy rebuilds arrays and dtypes, without executing them.
///
/// An array is `_reconstruct(ndarray, (0,), b'b')` with the state
/// `(1, shape, dtype, is_fortran, bytes)` (NumPy's `array_reduce`), or in protocol 5
/// `_frombuffer(bytes, dtype, shape, order)`.
struct NumpyObjects {
  typealias Ref = PickleGraph.Ref

  let graph: PickleGraph

  /// The parts of an array in its pickle.
  struct Parts {
    let numpyType: Ref
    let shape: Ref
    /// The elements: bytes, except for dtypes of Python objects.
    let data: Ref
    let isFortranOrder: Bool
  }

  /// Whether a global is `name` of NumPy, in an old or new version.
  static func isNumpys(_ name: String, _ global: (module: String, name: String)) -> Bool {
    guard global.name == name else { return false }
    let module = name == "_frombuffer" ? "numeric" : "multiarray"
    return global.module == "numpy.core.\(module)" || global.module == "numpy._core.\(module)"
  }

  /// The parts of an array; nil for other objects, and for subclasses of NumPy's arrays.
  func parts(of ref: Ref) -> Parts? {
    guard let body = graph.body(of: ref), case .reduce(let callable, let tuple) = body.construction,
      let global = graph.global(callable), let arguments = graph.items(of: tuple).map(Array.init)
    else { return nil }
    if Self.isNumpys("_frombuffer", global) {
      guard arguments.count == 4, body.edits.isEmpty, let order = graph.text(arguments[3]),
        order == "C" || order == "F"
      else { return nil }
      return Parts(
        numpyType: arguments[1], shape: arguments[2], data: arguments[0],
        isFortranOrder: order == "F")
    }
    guard Self.isNumpys("_reconstruct", global), let cls = arguments.first,
      ["numpy.ndarray", "numpy.memmap"].contains(graph.globalName(cls)), body.edits.count == 1,
      case .build(let state) = body.edits[0], var items = graph.items(of: state).map(Array.init)
    else { return nil }
    if items.count == 5 { items.removeFirst() }
    guard items.count == 4, let isFortran = flag(items[2]) else { return nil }
    return Parts(numpyType: items[1], shape: items[0], data: items[3], isFortranOrder: isFortran)
  }

  /// A bool, which is an int in old pickles.
  private func flag(_ ref: Ref) -> Bool? { graph.bool(ref) ?? graph.int(ref).map { $0 != 0 } }

  /// The type of a dtype: `dtype('f4', …)` with the state `(3, '<', …)`.
  func numpyType(_ ref: Ref) -> NumpyDType? {
    guard let body = graph.body(of: ref), case .reduce(let callable, let tuple) = body.construction,
      graph.globalName(callable) == "numpy.dtype", let argument = graph.items(of: tuple)?.first
    else { return nil }
    var order = "="
    if let edit = body.edits.first {
      // The state has the version, the byte order, and for structures their base, names, and
      // fields.
      guard body.edits.count == 1, case .build(let state) = edit,
        let items = graph.items(of: state).map(Array.init), items.count >= 5,
        let written = graph.text(items[1]),
        items[2...4].allSatisfy({ if case .none = graph[$0] { true } else { false } })
      else { return nil }
      order = written
    }
    if let code = graph.text(argument) { return NumpyDType(order + code) }
    // Dtypes of the package ml_dtypes are identified by their class.
    guard let name = graph.global(argument), name.module == "ml_dtypes", order != ">",
      let type = DType(name: name.name)
    else { return nil }
    return NumpyDType(type, isBigEndian: false)
  }

  /// The array as a tensor; nil if PyTorch does not support its dtype.
  ///
  /// - Throws: `TensorError` if the array's number of bytes is wrong.
  func tensor(_ parts: Parts) throws -> Tensor? {
    guard let numpyType = numpyType(parts.numpyType), let shape = graph.ints(parts.shape) else {
      return nil
    }
    guard shape.allSatisfy({ $0 >= 0 }), let natural = Tensor.contiguousStrides(for: shape),
      case let count = shape.contains(0) ? 0 : shape.reduce(1, *),
      let byteCount = numpyType.dtype.byteCount(ofElements: count)
    else { throw TensorError.tooLarge }
    guard var source = bytes(parts.data, byteCount: byteCount) else { return nil }
    guard source.byteCount == byteCount else {
      throw TensorError.badGeometry(
        "an array of \(byteCount) bytes has \(source.byteCount) in the pickle")
    }
    if numpyType.isBigEndian {
      source = .computed(ByteSwapped(source, width: numpyType.dtype.componentByteCount))
    }
    var strides = natural
    if parts.isFortranOrder, let reversed = Tensor.contiguousStrides(for: shape.reversed()) {
      strides = reversed.reversed()
    }
    return try Tensor(
      storage: Storage(source, name: "array"), dtype: numpyType.dtype, shape: shape,
      strides: strides)
  }

  /// The bytes of a bytes object; nil for other objects.
  ///
  /// - Parameter byteCount: the expected number. Text that represents bytes and was left in a file
  ///   is assumed to have this number, which is checked when it is read.
  func bytes(_ ref: Ref, byteCount: Int) -> ByteSource? {
    switch graph[ref] {
    case .bytes(let run), .byteArray(let run), .byteString(let run):
      if let region = graph.outside(ref) { return .region(region) }
      return .computed(HeldBytes(graph.bytes(run)))
    default: break
    }
    guard let text = latin1Text(ref) else {
      return graph.isEmptyBytes(ref) ? .bytes([]) : nil
    }
    if let region = graph.outside(text) {
      return .computed(Latin1Bytes(.region(region), byteCount: byteCount))
    }
    guard let run = graph.run(of: text) else { return nil }
    let held = HeldBytes(graph.bytes(run))
    guard let count = held.latin1Count else { return nil }
    return .computed(Latin1Bytes(.computed(held), byteCount: count))
  }

  /// The text in `_codecs.encode(text, 'latin1')`, by which protocols 0 to 2 represent bytes.
  func latin1Text(_ ref: Ref) -> Ref? {
    guard let body = graph.body(of: ref), case .reduce(let callable, let tuple) = body.construction,
      graph.globalName(callable) == "_codecs.encode", body.edits.isEmpty,
      let arguments = graph.items(of: tuple).map(Array.init), arguments.count == 2,
      let encoding = graph.text(arguments[1]), encoding == "latin1" || encoding == "latin-1",
      case .string = graph[arguments[0]]
    else { return nil }
    return arguments[0]
  }
}

extension PickleGraph {
  /// Whether the object is `bytes()`.
  func isEmptyBytes(_ ref: Ref) -> Bool {
    guard let body = body(of: ref), case .reduce(let callable, let arguments) = body.construction,
      let name = globalName(callable), name == "__builtin__.bytes" || name == "builtins.bytes"
    else { return false }
    return items(of: arguments)?.isEmpty == true && body.edits.isEmpty
  }
}
