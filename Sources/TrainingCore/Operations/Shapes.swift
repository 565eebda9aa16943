// MARK: - Views

extension Variable {
  /// The same elements in another shape; one size may be -1 and is worked out.
  ///
  /// A view where the memory allows it, else a copy.
  public func reshaped(_ shape: [Int]) throws -> Variable {
    let wanted = try Self.completed(shape, count: count)
    let source = try contiguous()
    let own = self.shape
    return Variable(
      memory: source.memory, scalarType: scalarType, shape: wanted, offset: source.offset
    ).computed(by: "reshape", from: [self]) { [try $0.reshaped(own)] }
  }

  private static func completed(_ shape: [Int], count: Int) throws -> [Int] {
    var shape = shape
    if let hole = shape.firstIndex(of: -1) {
      shape[hole] = 1
      let rest = try byteCount(shape, .bool)
      shape[hole] = rest > 0 ? count / rest : 0
    }
    guard shape.allSatisfy({ $0 >= 0 }), try byteCount(shape, .bool) == count else {
      throw TrainingError.badShape(
        operation: "reshape", problem: "\(count) elements do not fill the shape \(shape)")
    }
    return shape
  }

  /// Dimensions `from` to `to` made one, as `torch.flatten` does.
  public func flattened(from: Int = 0, to: Int = -1) throws -> Variable {
    if rank == 0 { return try reshaped([1]) }
    let first = try dimension(from, "flatten")
    let last = try dimension(to, "flatten")
    guard first <= last else {
      throw TrainingError.badArgument(
        operation: "flatten", problem: "dimension \(from) comes after \(to)")
    }
    return try reshaped(
      Array(shape[..<first]) + [shape[first...last].reduce(1, *)] + Array(shape[(last + 1)...]))
  }

  /// A view with the dimensions in another order.
  public func permuted(_ order: [Int]) throws -> Variable {
    let order = try order.map { try dimension($0, "permute") }
    guard order.sorted() == Array(shape.indices) else {
      throw TrainingError.badArgument(
        operation: "permute", problem: "\(order) is no order of \(rank) dimensions")
    }
    var inverse = order
    for (new, old) in order.enumerated() { inverse[old] = new }
    return Variable(
      memory: memory, scalarType: scalarType, shape: order.map { shape[$0] },
      strides: order.map { strides[$0] }, offset: offset
    ).computed(by: "permute", from: [self]) { [inverse] in [try $0.permuted(inverse)] }
  }

  /// A view with two dimensions exchanged.
  public func transposed(_ first: Int = -2, _ second: Int = -1) throws -> Variable {
    var order = Array(shape.indices)
    order.swapAt(try dimension(first, "transpose"), try dimension(second, "transpose"))
    return try permuted(order)
  }

  /// A view with a dimension of size 1 put in.
  public func unsqueezed(_ number: Int) throws -> Variable {
    let place = number < 0 ? number + rank + 1 : number
    guard (0...rank).contains(place) else {
      throw TrainingError.badArgument(operation: "unsqueeze", problem: "no place \(number)")
    }
    var shape = shape
    var strides = strides
    shape.insert(1, at: place)
    strides.insert(1, at: place)
    let own = self.shape
    return Variable(
      memory: memory, scalarType: scalarType, shape: shape, strides: strides, offset: offset
    ).computed(by: "unsqueeze", from: [self]) { [try $0.reshaped(own)] }
  }

  /// A view without a dimension of size 1.
  public func squeezed(_ number: Int) throws -> Variable {
    let place = try dimension(number, "squeeze")
    guard shape[place] == 1 else { return self }
    var shape = shape
    var strides = strides
    shape.remove(at: place)
    strides.remove(at: place)
    let own = self.shape
    return Variable(
      memory: memory, scalarType: scalarType, shape: shape, strides: strides, offset: offset
    ).computed(by: "squeeze", from: [self]) { [try $0.reshaped(own)] }
  }

  /// A view that repeats dimensions of size 1.
  public func expanded(to shape: [Int]) throws -> Variable {
    guard try Self.broadcast(self.shape, shape, "expand") == shape else {
      throw TrainingError.badShape(
        operation: "expand", problem: "\(self.shape) cannot become \(shape)")
    }
    _ = try Self.byteCount(shape, scalarType)
    let own = self.shape
    return Variable(
      memory: memory, scalarType: scalarType, shape: shape, strides: strides(broadcastTo: shape),
      offset: offset
    ).computed(by: "expand", from: [self]) { [try $0.summed(to: own)] }
  }

  /// A view of the indices `range` of a dimension.
  public func sliced(_ range: Range<Int>, dimension number: Int = 0) throws -> Variable {
    let place = try dimension(number, "slice")
    guard range.lowerBound >= 0, range.upperBound <= shape[place] else {
      throw TrainingError.badArgument(
        operation: "slice", problem: "\(range) of a dimension of size \(shape[place])")
    }
    var shape = shape
    shape[place] = range.count
    let own = self.shape
    return Variable(
      memory: memory, scalarType: scalarType, shape: shape, strides: strides,
      offset: offset + range.lowerBound * strides[place]
    ).computed(by: "slice", from: [self]) { gradient in
      let whole = try Variable.zeros(own, gradient.scalarType)
      try whole.sliced(range, dimension: place).assign(gradient)
      return [whole]
    }
  }

  /// A view of one index of a dimension, which is dropped.
  public func selected(_ index: Int, dimension number: Int = 0) throws -> Variable {
    let place = try dimension(number, "select")
    let index = index < 0 ? index + shape[place] : index
    guard (0..<shape[place]).contains(index) else {
      throw TrainingError.badArgument(
        operation: "select", problem: "index \(index) of a dimension of size \(shape[place])")
    }
    return try sliced(index..<index + 1, dimension: place).squeezed(place)
  }

  /// Views of `parts` runs of equal length along a dimension (the last may be shorter), as
  /// `torch.chunk` gives them.
  public func chunked(_ parts: Int, dimension number: Int = 0) throws -> [Variable] {
    let place = try dimension(number, "chunk")
    guard parts > 0 else {
      throw TrainingError.badArgument(operation: "chunk", problem: "\(parts) parts")
    }
    let size = shape[place]
    let length = max(1, (size + parts - 1) / parts)
    return try stride(from: 0, to: size, by: length).map {
      try sliced($0..<min($0 + length, size), dimension: place)
    }
  }
}

// MARK: - Copies

extension Variable {
  /// The same elements in row-major order: itself, or a copy of it.
  public func contiguous() throws -> Variable {
    if isContiguous { return self }
    return try copied().computed(by: "contiguous", from: [self]) { [$0] }
  }

  /// A contiguous copy; no gradients.
  func copied() throws -> Variable {
    let result = try Variable(empty: shape, scalarType)
    try result.assign(self)
    return result
  }

  /// Overwrites the elements in place with those of `other`, broadcast and converted; no gradient
  /// flows through this.
  public func copy(from other: Variable) throws {
    guard try Self.broadcast(shape, other.shape, "copy") == shape else {
      throw TrainingError.badShape(
        operation: "copy", problem: "\(other.shape) does not fit into \(shape)")
    }
    try assign(other.detached().converted(to: scalarType))
  }

  /// Overwrites the elements with those of `other`, broadcast; no gradients.
  func assign(_ other: Variable) throws {
    guard other.scalarType == scalarType else {
      throw TrainingError.badType(
        operation: "copy", problem: "\(other.scalarType.rawValue) to \(scalarType.rawValue)")
    }
    let walk = StridedWalk(
      shape: shape, strides: [strides, other.strides(broadcastTo: shape)])
    func go<T>(_: T.Type) {
      let to = pointer(T.self)
      let from = other.pointer(T.self)
      walk.rows(grain: elementGrain) { _, starts, length, steps in
        let to = to + starts[0]
        let from = from + starts[1]
        if steps == [1, 1] {
          to.update(from: from, count: length)
        } else {
          for i in 0..<length { to[i * steps[0]] = from[i * steps[1]] }
        }
      }
    }
    switch scalarType.byteCount {
    case 8: go(UInt64.self)
    case 4: go(UInt32.self)
    default: go(UInt8.self)
    }
    keepAlive(other)
  }

  /// Variables of the same shape but for one dimension, one behind the other along it.
  public static func cat(_ parts: [Variable], dimension number: Int = 0) throws -> Variable {
    guard let first = parts.first else {
      throw TrainingError.badArgument(operation: "cat", problem: "nothing to join")
    }
    let place = try first.dimension(number, "cat")
    var shape = first.shape
    var starts: [Int] = []
    shape[place] = 0
    for part in parts {
      guard part.rank == first.rank, part.scalarType == first.scalarType,
        shape.indices.allSatisfy({ $0 == place || part.shape[$0] == shape[$0] })
      else {
        throw TrainingError.badShape(
          operation: "cat", problem: "\(part.shape) beside \(first.shape) along \(place)")
      }
      starts.append(shape[place])
      shape[place] += part.shape[place]
    }
    let result = try Variable(empty: shape, first.scalarType)
    for (part, start) in zip(parts, starts) {
      try result.sliced(start..<start + part.shape[place], dimension: place).assign(part)
    }
    let lengths = parts.map { $0.shape[place] }
    return result.computed(by: "cat", from: parts) { gradient in
      try zip(starts, lengths).map { try gradient.sliced($0..<$0 + $1, dimension: place) }
    }
  }

  /// Variables of the same shape along a new dimension.
  public static func stack(_ parts: [Variable], dimension: Int = 0) throws -> Variable {
    try cat(try parts.map { try $0.unsqueezed(dimension) }, dimension: dimension)
  }

  /// The same numbers in another type. Gradients flow between the floating-point types.
  public func converted(to type: ScalarType) throws -> Variable {
    if type == scalarType { return self }
    let own = scalarType
    let result: Variable
    switch type {
    case .float32: result = try Variable(floats(), shape: shape)
    case .float64: result = try Variable(doubles: doubles(), shape: shape)
    case .int64:
      result = try Variable(
        indices: try doubles().map { value in
          guard let exact = Int(exactly: value.rounded(.towardZero)) else {
            throw TrainingError.badType(operation: "convert", problem: "\(value) is no integer")
          }
          return exact
        }, shape: shape)
    case .bool: result = try Variable(mask: doubles().map { $0 != 0 }, shape: shape)
    }
    guard type.isFloatingPoint, own.isFloatingPoint else { return result }
    return result.computed(by: "convert", from: [self]) { [try $0.converted(to: own)] }
  }
}
