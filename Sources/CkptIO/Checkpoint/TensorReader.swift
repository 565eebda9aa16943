internal import CkptPickle
internal import CkptBytes
internal import CkptStateDicts
internal import CkptTensors
internal import CkptText

/// Interprets the calls by which PyTorch rebuilds tensors, without executing them.
struct TensorReader {
  typealias Ref = PickleGraph.Ref

  let graph: PickleGraph
  let storages: StorageTable
  let file: String
  /// The plain tensors of the pickle by object number.
  private(set) var tensors: TensorTable = [:]
  private var shapes = SharedShapes()
  /// How many more scales and zero points of quantized tensors may be read. They are in memory, and
  /// tensors that are expanded or shared would have more of them than the file has bytes.
  private var scalesLeft: Int

  private enum Rebuild: String {
    case plain = "_rebuild_tensor"
    case version2 = "_rebuild_tensor_v2"
    case version3 = "_rebuild_tensor_v3"
    case parameter = "_rebuild_parameter"
    case parameterWithState = "_rebuild_parameter_with_state"
    case quantized = "_rebuild_qtensor"
    case meta = "_rebuild_meta_tensor_no_storage"
    case fromType = "_rebuild_from_type"
    case fromTypeVersion2 = "_rebuild_from_type_v2"
    /// NumPy arrays, up to protocol 4 and in protocol 5.
    case array = "_reconstruct"
    case arrayOfBuffer = "_frombuffer"
  }

  /// Classes whose tensors are treated as plain tensors.
  private static let plainClasses: Set<String> = [
    "torch.Tensor", "torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer",
  ]

  /// Finds all tensors.
  ///
  /// - Throws: `CheckpointError.badObject` if a tensor exceeds its storage or is invalid.
  init(_ graph: PickleGraph, storages: StorageTable, file: String) throws {
    self.graph = graph
    self.storages = storages
    self.file = file
    scalesLeft = max(1 << 16, graph.nodes.count + min(storages.byteCount, 1 << 40))
    var rebuilds: [UInt32: Rebuild?] = [:]
    let arrays = NumpyObjects(graph: graph)
    for index in graph.nodes.indices {
      let ref = Ref(index: UInt32(index))
      guard let body = graph.body(of: ref),
        case .reduce(let callable, let arguments) = body.construction
      else { continue }
      let rebuild = rebuilds[callable.index] ?? Self.rebuild(graph, callable)
      rebuilds[callable.index] = .some(rebuild)
      // In this order, inner tensors come before the tensors that wrap them.
      guard let rebuild else { continue }
      do {
        let isArray = rebuild == .array || rebuild == .arrayOfBuffer
        guard isArray || body.edits.isEmpty else {
          throw TensorError.badGeometry("the tensor is changed after it is rebuilt")
        }
        tensors[ref.index] =
          switch rebuild {
          case .array, .arrayOfBuffer: try arrays.parts(of: ref).flatMap(arrays.tensor)
          default: try read(rebuild, graph.items(of: arguments).map(Array.init) ?? [])
          }
      } catch let error as TensorError {
        throw CheckpointError.badObject(
          file: file, path: graph.path(to: ref), error.description)
      } catch is NotUnderstood {
        throw CheckpointError.badObject(
          file: file, path: graph.path(to: ref),
          "the arguments of \(rebuild.rawValue) make no sense")
      }
    }
  }

  private struct NotUnderstood: Error {}

  private static func rebuild(_ graph: PickleGraph, _ callable: Ref) -> Rebuild? {
    guard let name = graph.global(callable), let rebuild = Rebuild(rawValue: name.name) else {
      return nil
    }
    switch rebuild {
    case .array, .arrayOfBuffer: return NumpyObjects.isNumpys(name.name, name) ? rebuild : nil
    default: return name.module.hasPrefix("torch.") ? rebuild : nil
    }
  }

  private mutating func ints(_ ref: Ref) -> [Int]? { graph.ints(ref).map { shapes.shared($0) } }

  private mutating func read(_ rebuild: Rebuild, _ arguments: [Ref]) throws -> Tensor? {
    func argument(_ position: Int) throws -> Ref {
      guard position < arguments.count else { throw NotUnderstood() }
      return arguments[position]
    }
    switch rebuild {
    case .parameter, .parameterWithState:
      guard var tensor = tensors[try argument(0).index] else { return nil }
      tensor.isParameter = true
      tensor.requiresGrad = graph.bool(try argument(1)) ?? true
      return tensor
    case .fromType, .fromTypeVersion2:
      return try readSubclass(
        .init(
          function: try argument(0), cls: try argument(1),
          arguments: graph.items(of: try argument(2)).map(Array.init) ?? [],
          state: arguments.count > 3 ? arguments[3] : nil))
    case .meta:
      guard let type = dtype(try argument(0)), let shape = ints(try argument(1)),
        let strides = ints(try argument(2))
      else { throw NotUnderstood() }
      var tensor = try Tensor(
        storage: Storage(bytes: []), dtype: type, shape: shape, strides: strides,
        isMeta: true)
      tensor.requiresGrad = graph.bool(try argument(3)) ?? false
      return tensor
    case .array, .arrayOfBuffer: return nil
    case .plain, .version2, .version3, .quantized: break
    }
    let id = try argument(0)
    guard let storage = storages[id], let offset = graph.int(try argument(1)),
      let shape = ints(try argument(2)), let strides = ints(try argument(3))
    else { throw NotUnderstood() }
    var type = StorageTable.dtype(ofPersistentID: id, in: graph)
    if rebuild == .version3 { type = dtype(try argument(6)) }
    guard let type else { throw NotUnderstood() }
    var tensor = try Tensor(
      storage: storage, dtype: type, shape: shape, strides: strides, offset: offset)
    switch rebuild {
    case .quantized:
      tensor.quantization = try quantization(try argument(4), shape: shape)
      tensor.requiresGrad = graph.bool(try argument(5)) ?? false
    case .version2, .version3:
      tensor.requiresGrad = graph.bool(try argument(4)) ?? false
      let last = rebuild == .version2 ? 6 : 7
      if last < arguments.count {
        let flags = graph.entries(of: arguments[last])
        if flags == nil {
          guard case .none = graph[arguments[last]] else { throw NotUnderstood() }
        }
        for (key, value) in flags ?? [] where graph.bool(value) == true {
          if graph.text(key) == "conj" { tensor.isConjugate = true }
          if graph.text(key) == "neg" { tensor.isNegative = true }
        }
      }
    default: break
    }
    return tensor
  }

  /// The plain tensor that a tensor of another class is equivalent to, because the class has no
  /// other data, or wraps a single local tensor with all elements; nil otherwise.
  private mutating func readSubclass(_ parts: TensorSubclasses.Parts) throws -> Tensor? {
    let known = tensors
    let subclasses = TensorSubclasses(graph: graph, tensor: { known[$0.index] })
    if subclasses.isWrapper(parts) {
      guard let local = subclasses.wholeLocalTensor(parts), var tensor = known[local.index] else {
        return nil
      }
      if let last = parts.arguments.last, let requires = graph.bool(last) {
        tensor.requiresGrad = requires
      }
      return tensor
    }
    let name = graph.globalName(parts.cls) ?? ""
    guard Self.plainClasses.contains(name) || !subclasses.hasState(parts),
      let inner = Self.rebuild(graph, parts.function),
      inner != .fromType, inner != .fromTypeVersion2
    else { return nil }
    return try read(inner, parts.arguments)
  }

  private func dtype(_ ref: Ref) -> DType? {
    guard let name = graph.global(ref), name.module == "torch" else { return nil }
    return DType(name: name.name)
  }

  private func number(_ ref: Ref) -> Double? {
    if case .float(let bits) = graph[ref] { return Double(bitPattern: bits) }
    return graph.int(ref).map(Double.init)
  }

  /// The quantization from the parameters of `torch._utils._rebuild_qtensor`, with the schemes that
  /// it supports.
  private mutating func quantization(_ ref: Ref, shape: [Int]) throws -> Quantization {
    guard let items = graph.items(of: ref).map(Array.init), let scheme = items.first,
      let name = graph.global(scheme)?.name
    else { throw NotUnderstood() }
    switch (name, items.count) {
    case ("per_tensor_affine", 3):
      guard let scale = number(items[1]), let zero = graph.int(items[2]) else {
        throw NotUnderstood()
      }
      return .perTensor(scale: scale, zeroPoint: zero)
    case ("per_channel_affine", 4), ("per_channel_affine_float_qparams", 4):
      guard let axis = graph.int(items[3]), let scales = try numbers(items[1]),
        let zeros = try numbers(items[2])
      else { throw NotUnderstood() }
      guard shape.indices.contains(axis), scales.count == shape[axis], zeros.count == shape[axis]
      else { throw TensorError.badGeometry("the scales do not fit the quantized tensor") }
      guard name == "per_channel_affine" else {
        return .perChannelFloat(axis: axis, scales: scales, zeroPoints: zeros)
      }
      guard zeros.allSatisfy({ Int64(exactly: $0) != nil }) else {
        throw TensorError.badGeometry("a zero point of the quantized tensor is no whole number")
      }
      return .perChannel(axis: axis, scales: scales, zeroPoints: zeros)
    default: throw NotUnderstood()
    }
  }

  /// The values of a small tensor or list.
  private mutating func numbers(_ ref: Ref) throws -> [Double]? {
    let count = tensors[ref.index]?.elementCount ?? graph.sequence(ref)?.count ?? 0
    guard count <= scalesLeft else {
      throw TensorError.badGeometry("the quantized tensors have more scales than the file holds")
    }
    scalesLeft -= count
    if let sequence = graph.sequence(ref) {
      let all = sequence.compactMap(number)
      return all.count == sequence.count ? all : nil
    }
    guard let tensor = tensors[ref.index], tensor.elementCount <= 1 << 20 else { return nil }
    let bytes = try tensor.contiguousBytes()
    let width = tensor.dtype.byteCount
    return stride(from: 0, to: bytes.count, by: width).compactMap { start in
      let bits = UInt64(littleEndian: bytes[start..<start + width])
      return switch tensor.dtype {
      case .float64: Double(bitPattern: bits)
      case .float32: Double(Float(bitPattern: UInt32(truncatingIfNeeded: bits)))
      case .int64: Double(Int64(bitPattern: bits))
      case .int32: Double(Int32(truncatingIfNeeded: bits))
      default: nil
      }
    }
  }

  /// For a big-endian file: the element size in bytes of untyped storages, by record name,
  /// determined from their tensors.
  static func swapWidths(_ graph: PickleGraph) -> ExactDictionary<Int> {
    var widths: ExactDictionary<Int> = [:]
    for index in graph.nodes.indices {
      guard let body = graph.body(of: Ref(index: UInt32(index))),
        case .reduce(let callable, let arguments) = body.construction,
        rebuild(graph, callable) == .version3, let items = graph.items(of: arguments),
        items.count > 6, case .persistentID(let inner) = graph[items[items.startIndex]],
        let id = graph.items(of: inner), id.count > 2, let key = graph.text(id[id.startIndex + 2]),
        let name = graph.global(items[items.startIndex + 6])?.name,
        let type = DType(name: name)
      else { continue }
      widths[key] = type.componentByteCount
    }
    return widths
  }
}
