internal import Platform
public import StateDicts
public import TensorStore

/// What ``Module/load(_:strict:)`` found and did.
public struct LoadReport: Sendable, Hashable {
  /// Keys whose values were taken, in the module's order.
  public var loaded: [String] = []
  /// Keys of the module that the state dict lacks.
  public var missing: [String] = []
  /// Keys of the state dict that the module lacks.
  public var unexpected: [String] = []
  /// Keys whose value has another shape, or is no tensor of numbers.
  public var mismatched: [ShapeMismatch] = []

  /// Nothing was found yet.
  public init() {}

  /// Whether every key on either side has its counterpart.
  public var isComplete: Bool { missing.isEmpty && unexpected.isEmpty && mismatched.isEmpty }

  /// What does not fit, on one line.
  var problems: String {
    func list(_ keys: [String]) -> String {
      keys.prefix(5).joined(separator: ", ") + (keys.count > 5 ? ", … (\(keys.count))" : "")
    }
    return [
      missing.isEmpty ? nil : "missing " + list(missing),
      unexpected.isEmpty ? nil : "unexpected " + list(unexpected),
      mismatched.isEmpty ? nil : "other shapes " + list(mismatched.map(\.description)),
    ].compactMap(\.self).joined(separator: "; ")
  }
}

extension Module {
  /// Parameters and buffers with their keys, also those that occur twice, in a state dict's order.
  var stateMembers: [(key: String, module: Module, moduleKey: String, variable: Variable)] {
    var result: [(String, Module, String, Variable)] = []
    var open: [(String, Module)] = [("", self)]
    while let (prefix, module) = open.popLast() {
      let members = module.members
      let dotted = prefix.isEmpty ? "" : prefix + "."
      for case (let key, .parameter(let parameter)) in members {
        result.append((dotted + key, module, prefix, parameter))
      }
      for case (let key, .buffer(let buffer)) in members where buffer.isPersistent {
        result.append((dotted + key, module, prefix, buffer))
      }
      for (key, member) in members.reversed() {
        if case .module(let child) = member { open.append((dotted + key, child)) }
      }
    }
    return result
  }

  /// The parameters and buffers by their keys, sharing memory with the module: what is trained after
  /// is seen. Tied weights share a storage.
  public func stateDict() throws -> StateDict {
    var result = StateDict()
    for (key, _, _, variable) in stateMembers {
      result[key] = try Tensor(
        storage: variable.memory.storage, elementType: variable.scalarType.elementType,
        shape: variable.shape, strides: variable.strides, offset: variable.offset)
    }
    return result
  }

  /// Takes values from a state dict into the parameters and buffers, as `load_state_dict` does.
  ///
  /// Each value is read once, straight into the parameter's memory; other element types are converted.
  /// - Parameter strict: whether keys must match exactly. If not, what fits is taken; unlike in
  ///   PyTorch, also values of another shape are then left out and reported.
  /// - Throws: `TrainingError.cannotLoad` with everything that does not fit, before anything is
  ///   changed; what reading throws.
  @discardableResult
  public func load(_ stateDict: StateDict, strict: Bool = true) throws -> LoadReport {
    var report = LoadReport()
    var takes: [(Variable, Tensor)] = []
    var metadata: [String: StateDict.ModuleMetadata] = [:]
    for entry in stateDict.metadata ?? [] { metadata[entry.module] = entry }
    var known = Set<String>()
    for (key, module, moduleKey, variable) in stateMembers {
      known.insert(key)
      guard let value = stateDict.value(for: key) else {
        let own = moduleKey.isEmpty ? key : String(key.dropFirst(moduleKey.count + 1))
        if !module.mayLack(own, metadata: metadata[moduleKey]) { report.missing.append(key) }
        continue
      }
      guard let tensor = value.tensor, tensor.shape == variable.shape, tensor.isReadable else {
        report.mismatched.append(
          ShapeMismatch(key: key, expected: variable.shape, found: value.tensor?.shape))
        continue
      }
      takes.append((variable, tensor))
      report.loaded.append(key)
    }
    report.unexpected = stateDict.keys.filter { !known.contains($0) }
    if strict, !report.isComplete { throw TrainingError.cannotLoad(report) }
    for (variable, tensor) in takes { try variable.read(tensor) }
    return report
  }
}

extension Tensor {
  /// Whether its elements are there and of a type that numbers can be taken from.
  fileprivate var isReadable: Bool {
    guard !isMeta, !isConjugate, !isNegative else { return false }
    switch elementType {
    case .float32, .float64, .float16, .bfloat16, .float8E4M3FN, .float8E5M2, .float8E4M3FNUZ,
      .float8E5M2FNUZ, .int64, .int32, .int16, .int8, .uint8, .bool:
      return true
    default: return false
    }
  }
}

extension Variable {
  /// A variable with the elements of a tensor of a file.
  ///
  /// Shorter floats are widened to 32 bits, integers to 64.
  public convenience init(_ tensor: Tensor) throws {
    let type: ScalarType =
      switch tensor.elementType {
      case .float64: .float64
      case .bool: .bool
      case .int64, .int32, .int16, .int8, .uint8: .int64
      default: .float32
      }
    guard tensor.isReadable else {
      throw TrainingError.badType(
        operation: "variable", problem: "a tensor of \(tensor.elementType.name) cannot be read")
    }
    try self.init(empty: tensor.shape, type)
    try read(tensor)
  }

  /// Overwrites the elements with those of a tensor of the same shape.
  func read(_ tensor: Tensor) throws {
    let byteCount = count * scalarType.byteCount
    if tensor.elementType == scalarType.elementType, tensor.isContiguous, isContiguous, offset == 0,
      byteCount == memory.byteCount
    {
      let target = UnsafeMutableRawBufferPointer(
        start: memory.pointerToOverwrite, count: byteCount)
      let start = tensor.offset * scalarType.byteCount
      let source = tensor.storage.source
      if case .computed(let computed) = source, !computed.isRandomAccess, start > 0 {
        target.copyBytes(from: try source.bytes(in: start..<start + byteCount))
      } else if byteCount > 0 {
        try source.makeReader(at: start).read(into: target)
      }
      return
    }
    if isContiguous, scalarType == .float32 {
      _ = memory.pointerToOverwrite
      return try tensor.makeElementReader().read(
        into: UnsafeMutableBufferPointer(start: pointer(Float.self), count: count))
    }
    let values = try [Double](unsafeUninitializedCapacity: count) { buffer, filled in
      try tensor.makeElementReader().read(
        into: UnsafeMutableBufferPointer(rebasing: buffer[..<count]))
      filled = count
    }
    try assign(Variable(doubles: values, shape: shape).converted(to: scalarType))
  }
}
