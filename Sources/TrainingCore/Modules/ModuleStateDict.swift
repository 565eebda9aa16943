internal import CkptPlatform
internal import CkptBytes
public import CkptStateDicts
public import CkptTensors

extension Module {
  /// Parameters and persistent buffers with their keys, in the order of `state_dict()`; one with
  /// two keys occurs twice.
  var stateMembers: [(key: String, variable: Variable)] {
    var result: [(String, Variable)] = []
    var open: [(String, Module)] = [("", self)]
    while let (prefix, module) = open.popLast() {
      let members = module.members
      let dotted = prefix.isEmpty ? "" : prefix + "."
      for case (let key, .parameter(let parameter)) in members {
        result.append((dotted + key, parameter))
      }
      for case (let key, .buffer(let buffer)) in members where buffer.isPersistent {
        result.append((dotted + key, buffer))
      }
      for (key, member) in members.reversed() {
        if case .module(let child) = member { open.append((dotted + key, child)) }
      }
    }
    return result
  }

  /// The parameters and persistent buffers by their keys: PyTorch's `state_dict()`. Its tensors
  /// share memory with the module, so that later training shows in them. Tied weights share a
  /// storage.
  ///
  /// - Throws: `TensorError` if a tensor cannot be described.
  public func stateDict() throws -> StateDict {
    var result = StateDict()
    for (key, variable) in stateMembers {
      result[key] = try Tensor(
        storage: variable.memory.storage, dtype: variable.scalarType.dtype,
        shape: variable.shape, strides: variable.strides, offset: variable.offset)
    }
    return result
  }

  /// Copies values from a state dict into the parameters and buffers: PyTorch's `load_state_dict`.
  ///
  /// Each value is read once, straight into the parameter's memory; element types are converted.
  /// - Parameters:
  ///   - stateDict: the values by their keys.
  ///   - strict: whether all keys must match. If not, what fits is loaded; unlike in PyTorch,
  ///     values of another shape are then left out and reported.
  /// - Returns: what was loaded and what was not, as `StateDict.validate(against:)` reports it.
  /// - Throws: `TrainingError.cannotLoad` with everything that does not fit, before anything is
  ///   changed; what reading tensors throws.
  @discardableResult
  public func load(_ stateDict: StateDict, strict: Bool = true) throws -> LoadReport {
    let report = try stateDict.validate(against: self.stateDict(), strict: strict)
    let members = stateMembers
    let unreadable = members.filter { stateDict[$0.key]?.isReadable == false }.map {
      ShapeMismatch(key: $0.key, expected: $0.variable.shape, found: nil)
    }
    guard report.isLoadable && unreadable.isEmpty || !strict else {
      throw TrainingError.cannotLoad(
        missing: report.missing, unexpected: report.unexpected,
        mismatched: report.mismatched + unreadable)
    }
    let loaded = Set(report.loaded)
    for (key, variable) in members where loaded.contains(key) {
      if let tensor = stateDict[key], tensor.isReadable { try variable.read(tensor) }
    }
    return report
  }
}

extension Tensor {
  /// Whether its elements are stored and of a type that can be converted to numbers here.
  fileprivate var isReadable: Bool {
    guard !isMeta, !isConjugate, !isNegative else { return false }
    switch dtype {
    case .float32, .float64, .float16, .bfloat16, .float8E4M3FN, .float8E5M2, .float8E4M3FNUZ,
      .float8E5M2FNUZ, .int64, .int32, .int16, .int8, .uint8, .bool:
      return true
    default: return false
    }
  }
}

extension Variable {
  /// A variable with the elements of a lazily read tensor: floating-point numbers of fewer than 32
  /// bits become float32, integers become int64.
  ///
  /// - Throws: `TrainingError.badType` for element types that cannot be converted, and for meta
  ///   tensors; what reading the tensor throws.
  public convenience init(_ tensor: Tensor) throws {
    let type: ScalarType =
      switch tensor.dtype {
      case .float64: .float64
      case .bool: .bool
      case .int64, .int32, .int16, .int8, .uint8: .int64
      default: .float32
      }
    guard tensor.isReadable else {
      throw TrainingError.badType(
        operation: "variable", problem: "a tensor of \(tensor.dtype.name) cannot be read")
    }
    try self.init(empty: tensor.shape, type)
    try read(tensor)
  }

  /// Overwrites the elements with those of a tensor of the same shape.
  func read(_ tensor: Tensor) throws {
    let byteCount = count * scalarType.byteCount
    if tensor.dtype == scalarType.dtype, tensor.isContiguous, isContiguous, offset == 0,
      byteCount == memory.byteCount
    {
      let start = tensor.offset * scalarType.byteCount
      let source = tensor.storage.source
      return try memory.overwrite { if byteCount > 0 { try source.read(into: &$0, at: start) } }
    }
    if isContiguous, scalarType == .float32 {
      _ = memory.pointerToOverwrite
      return try withElements(Float.self) { try tensor.makeElementReader().read(into: &$0) }
    }
    let values = try [Double](count: count) { try tensor.makeElementReader().read(into: &$0) }
    try assign(Variable(doubles: values, shape: shape).converted(to: scalarType))
  }
}

extension Module {
  /// The keys of the state dict with the shapes of the parameters and buffers, in order. Nothing is
  /// initialized or read.
  package var stateShapes: [(key: String, shape: [Int])] {
    stateMembers.map { ($0.key, $0.variable.shape) }
  }
}
