package import CkptText
internal import CkptPickle
internal import CkptBytes
internal import CkptPlatform
internal import CkptTensors

extension Checkpoint {
  /// An object with all of its contents as JSON.
  ///
  /// Mappings and objects with attributes become JSON objects, sequences and sets become arrays,
  /// and NumPy scalars become numbers. A tensor is represented by its dtype and shape, and its
  /// values if it is small. Other objects become a string that describes them. An object that
  /// contains itself is represented by its path.
  ///
  /// - Parameter at: keys joined by `/`; `/` is the root.
  /// - Throws: `CheckpointError` if there is no such object, or it contains more than a million
  ///   values; what reading tensors throws.
  package func value(at path: String) throws -> (type: String, value: JSONValue) {
    let ref = try resolve(path)
    var writer = ValueWriter(checkpoint: self, left: 1_000_000)
    let value = writer.value(ref, path: ObjectPath(path).steps, depth: 0)
    if let failure = writer.failure { throw failure }
    guard writer.left > 0 else {
      throw CheckpointError.tooManyValues(file: self.path, path: path)
    }
    return (type(of: ref), value)
  }

}

private struct ValueWriter {
  let checkpoint: Checkpoint
  /// The number of values that may still be written.
  var left: Int
  /// The first error in reading a tensor's elements.
  private(set) var failure: (any Error)?
  /// The objects that are currently being written, with their paths.
  private var open: [PickleGraph.Ref: [String]] = [:]
  /// The objects that have been written, and the number of them that contain the current one.
  private var written: Set<PickleGraph.Ref> = []
  private var repeats = 0
  /// The cost of a value that was written before, since shared objects could be repeated
  /// exponentially.
  private static let repeatCost = 50
  /// The maximum depth, since the function is recursive; deeper objects are only described.
  private static let depthLimit = 200

  init(checkpoint: Checkpoint, left: Int) {
    self.checkpoint = checkpoint
    self.left = left
  }

  mutating func value(_ ref: PickleGraph.Ref, path: [String], depth: Int) -> JSONValue {
    left -= repeats > 0 ? Self.repeatCost : 1
    guard left > 0 else { return .null }
    let graph = checkpoint.graph
    if let tensor = checkpoint.tensor(of: ref) {
      left -= 4 + tensor.shape.count
      var members: [JSONValue.Member] = [
        .init("dtype", .string(tensor.dtype.name)),
        .init("shape", .array(tensor.shape.map { .number("\($0)") })),
      ]
      if let values = values(of: tensor) {
        left -= tensor.elementCount
        members.append(.init("values", values))
      }
      return .object(members)
    }
    switch graph[ref] {
    case .none: return .null
    case .bool(let value): return .bool(value)
    case .int, .bigInt:
      return graph.decimal(ref).map { .number($0) } ?? .string("an int of over 4300 digits")
    case .float(let bits): return Self.number(Double(bitPattern: bits))
    case .string(let run), .byteString(let run):
      return .string(String(decoding: graph.bytes(run), as: UTF8.self))
    default: break
    }
    if let scalar = numpyNumber(ref) { return scalar }
    guard depth < Self.depthLimit else { return .string(checkpoint.summary(of: ref)) }
    if let known = open[ref] {
      return .string("the same as " + ObjectPath(steps: known).written)
    }
    open[ref] = path
    let isRepeated = !written.insert(ref).inserted
    if isRepeated { repeats += 1 }
    defer {
      open[ref] = nil
      if isRepeated { repeats -= 1 }
    }
    let attributes = graph.attributes(of: ref)
    let isRecord = graph.form(of: ref).kind == .record && !attributes.isEmpty
    if !isRecord, let items = graph.sequence(ref) ?? graph.members(of: ref) {
      return .array(
        items.enumerated().map { value($1, path: path + ["\($0)"], depth: depth + 1) })
    }
    if let entries = graph.entries(of: ref), !entries.isEmpty || attributes.isEmpty {
      return .object(
        entries.map { key, inner in
          let step = graph.step(for: key)
          return .init(step, value(inner, path: path + [step], depth: depth + 1))
        })
    }
    // Fields with their indices, then attributes with their names.
    guard !attributes.isEmpty else { return .string(checkpoint.summary(of: ref)) }
    return .object(
      graph.children(of: ref).map { step, inner in
        .init(step, value(inner, path: path + [step], depth: depth + 1))
      })
  }

  /// The maximum number of elements of a tensor whose values are written.
  private static let valueLimit = 64

  /// The elements of a small tensor of real numbers, nested as in `tolist()`.
  private mutating func values(of tensor: Tensor) -> JSONValue? {
    // An empty tensor is nested lists, so its other sizes count.
    var count = 1
    for size in tensor.shape {
      guard size <= Self.valueLimit else { return nil }
      count *= max(size, 1)
      guard count <= Self.valueLimit else { return nil }
    }
    guard !tensor.isMeta, tensor.shape.count <= 8, tensor.quantization == nil else { return nil }
    var level: [JSONValue]
    do {
      level = try Self.numbers(of: tensor)
    } catch is TensorError {
      // Elements of this type are no real numbers.
      return nil
    } catch {
      failure = failure ?? error
      return nil
    }
    for (dimension, size) in tensor.shape.enumerated().reversed() {
      level = (0..<tensor.shape[..<dimension].reduce(1, *)).map {
        .array(Array(level[$0 * size..<($0 + 1) * size]))
      }
    }
    return level.first
  }

  private static func numbers(of tensor: Tensor) throws -> [JSONValue] {
    if tensor.dtype == .int64 || tensor.dtype == .uint64 {
      let source = try tensor.resolvedSource()
      let bytes = try source.bytes(in: 0..<source.byteCount)
      return stride(from: 0, to: bytes.count, by: 8).map { start in
        let bits = UInt64(littleEndian: bytes[start..<start + 8])
        return .number(tensor.dtype == .int64 ? "\(Int64(bitPattern: bits))" : "\(bits)")
      }
    }
    let reader = try tensor.makeElementReader()
    var values = [Double](repeating: 0, count: tensor.elementCount)
    try reader.read(into: &values)
    return values.map { value in
      switch tensor.dtype {
      case .bool: .bool(value != 0)
      case .int8, .int16, .int32, .uint8, .uint16, .uint32: .number("\(Int(saturating: value))")
      default: number(value)
      }
    }
  }

  private static func number(_ value: Double) -> JSONValue {
    if value.isNaN { return .number("NaN") }
    if value.isInfinite { return .number(value < 0 ? "-Infinity" : "Infinity") }
    return .number("\(value)")
  }

  private func numpyNumber(_ ref: PickleGraph.Ref) -> JSONValue? {
    switch NumpyObjects(graph: checkpoint.graph).scalar(ref) {
    case .bool(let value)?: .bool(value)
    case .int(let value)?: .number("\(value)")
    case .large(let value)?: .number("\(value)")
    case .float(let value)?: Self.number(value)
    case .text(let text)?: .string(text)
    default: nil
    }
  }
}
