// MARK: - Views

extension Variable {
  /// The same elements in row-major order in another shape: `torch.reshape`. A view if the elements
  /// are contiguous, else a copy.
  ///
  /// - Parameter shape: the sizes; one may be -1 and is computed from the others.
  /// - Throws: `TrainingError.badShape` if the shape has another number of elements.
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

  /// Merges the dimensions from `startDimension` to `endDimension`, both included, into one:
  /// `torch.flatten`.
  ///
  /// - Throws: `TrainingError.badArgument` if there is no such dimension or they are in the wrong
  ///   order.
  public func flattened(startDimension: Int = 0, endDimension: Int = -1) throws -> Variable {
    if rank == 0 { return try reshaped([1]) }
    let first = try axis(startDimension, "flatten")
    let last = try axis(endDimension, "flatten")
    guard first <= last else {
      throw TrainingError.badArgument(
        operation: "flatten", problem: "dimension \(startDimension) comes after \(endDimension)")
    }
    return try reshaped(
      Array(shape[..<first]) + [shape[first...last].reduce(1, *)] + Array(shape[(last + 1)...]))
  }

  /// A view with the dimensions in another order: `torch.permute`.
  ///
  /// - Parameter order: the old index of each new dimension.
  /// - Throws: `TrainingError.badArgument` unless every dimension is named once.
  public func permuted(_ order: [Int]) throws -> Variable {
    let order = try order.map { try axis($0, "permute") }
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

  /// A view with two dimensions swapped, the last two by default: `torch.transpose`.
  ///
  /// - Throws: `TrainingError.badArgument` if there is no such dimension.
  public func transposed(_ first: Int = -2, _ second: Int = -1) throws -> Variable {
    var order = Array(shape.indices)
    order.swapAt(try axis(first, "transpose"), try axis(second, "transpose"))
    return try permuted(order)
  }

  /// A view with a dimension of size 1 inserted at an index: `torch.unsqueeze`.
  ///
  /// - Throws: `TrainingError.badArgument` if the index is beyond the number of dimensions.
  public func unsqueezed(_ dimension: Int) throws -> Variable {
    let index = dimension < 0 ? dimension + rank + 1 : dimension
    guard (0...rank).contains(index) else {
      throw TrainingError.badArgument(
        operation: "unsqueeze",
        problem: "no dimension \(dimension) can be inserted into the shape \(shape)")
    }
    var shape = shape
    var strides = strides
    shape.insert(1, at: index)
    strides.insert(1, at: index)
    let own = self.shape
    return Variable(
      memory: memory, scalarType: scalarType, shape: shape, strides: strides, offset: offset
    ).computed(by: "unsqueeze", from: [self]) { [try $0.reshaped(own)] }
  }

  /// A view without a dimension of size 1; the variable itself if the size is another:
  /// `torch.squeeze`.
  ///
  /// - Throws: `TrainingError.badArgument` if there is no such dimension.
  public func squeezed(_ dimension: Int) throws -> Variable {
    let axis = try axis(dimension, "squeeze")
    guard shape[axis] == 1 else { return self }
    var shape = shape
    var strides = strides
    shape.remove(at: axis)
    strides.remove(at: axis)
    let own = self.shape
    return Variable(
      memory: memory, scalarType: scalarType, shape: shape, strides: strides, offset: offset
    ).computed(by: "squeeze", from: [self]) { [try $0.reshaped(own)] }
  }

  /// A view that repeats dimensions of size 1, and adds dimensions in front: `torch.expand`.
  ///
  /// - Throws: `TrainingError.badShape` if this shape does not broadcast to `shape`.
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

  /// A view of a range of indices of a dimension: `torch.narrow`.
  ///
  /// - Throws: `TrainingError.badArgument` if there is no such dimension or the range exceeds its
  ///   size.
  public func sliced(_ range: Range<Int>, dimension: Int = 0) throws -> Variable {
    let axis = try axis(dimension, "slice")
    guard range.lowerBound >= 0, range.upperBound <= shape[axis] else {
      throw TrainingError.badArgument(
        operation: "slice", problem: "\(range) of a dimension of size \(shape[axis])")
    }
    var shape = shape
    shape[axis] = range.count
    let own = self.shape
    return Variable(
      memory: memory, scalarType: scalarType, shape: shape, strides: strides,
      offset: offset + range.lowerBound * strides[axis]
    ).computed(by: "slice", from: [self]) { gradient in
      let whole = try Variable.zeros(own, gradient.scalarType)
      try whole.sliced(range, dimension: axis).assign(gradient)
      return [whole]
    }
  }

  /// A view of one index of a dimension, without that dimension: `torch.select`.
  ///
  /// - Parameters:
  ///   - index: the index; negative ones count from the end.
  ///   - dimension: the dimension; negative ones count from the end.
  /// - Throws: `TrainingError.badArgument` if there is no such dimension or index.
  public func selected(_ index: Int, dimension: Int = 0) throws -> Variable {
    let axis = try axis(dimension, "select")
    let index = index < 0 ? index + shape[axis] : index
    guard (0..<shape[axis]).contains(index) else {
      throw TrainingError.badArgument(
        operation: "select", problem: "index \(index) of a dimension of size \(shape[axis])")
    }
    return try sliced(index..<index + 1, dimension: axis).squeezed(axis)
  }

  /// Views of at most `parts` parts of equal length along a dimension, of which the last may be
  /// shorter: `torch.chunk`.
  ///
  /// - Throws: `TrainingError.badArgument` if there is no such dimension or `parts` is not
  ///   positive.
  public func chunked(_ parts: Int, dimension: Int = 0) throws -> [Variable] {
    let axis = try axis(dimension, "chunk")
    guard parts > 0 else {
      throw TrainingError.badArgument(operation: "chunk", problem: "\(parts) parts")
    }
    let size = shape[axis]
    let length = max(1, (size + parts - 1) / parts)
    return try stride(from: 0, to: size, by: length).map {
      try sliced($0..<min($0 + length, size), dimension: axis)
    }
  }
}

// MARK: - Copies

extension Variable {
  /// The variable itself if its elements are contiguous in row-major order, else a copy of which
  /// they are.
  ///
  /// - Throws: `TrainingError.outOfMemory`.
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

  /// Overwrites the elements with those of `other`, broadcast and converted, in place and without
  /// gradients: `copy_`.
  ///
  /// - Throws: `TrainingError` if the shape of `other` does not broadcast to this one, or if a
  ///   number cannot be converted.
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

  /// Variables joined along a dimension: `torch.cat`.
  ///
  /// - Parameters:
  ///   - parts: variables of one element type whose shapes are equal but for that dimension.
  ///   - dimension: the dimension; negative ones count from the end.
  /// - Throws: `TrainingError` if there are none, or their shapes or types do not fit.
  public static func cat(_ parts: [Variable], dimension: Int = 0) throws -> Variable {
    guard let first = parts.first else {
      throw TrainingError.badArgument(operation: "cat", problem: "nothing to join")
    }
    let axis = try first.axis(dimension, "cat")
    var shape = first.shape
    var starts: [Int] = []
    shape[axis] = 0
    for part in parts {
      guard part.rank == first.rank, part.scalarType == first.scalarType,
        shape.indices.allSatisfy({ $0 == axis || part.shape[$0] == shape[$0] })
      else {
        throw TrainingError.badShape(
          operation: "cat", problem: "\(part.shape) beside \(first.shape) along \(axis)")
      }
      starts.append(shape[axis])
      shape[axis] += part.shape[axis]
    }
    let result = try Variable(empty: shape, first.scalarType)
    for (part, start) in zip(parts, starts) {
      try result.sliced(start..<start + part.shape[axis], dimension: axis).assign(part)
    }
    let lengths = parts.map { $0.shape[axis] }
    return result.computed(by: "cat", from: parts) { gradient in
      try zip(starts, lengths).map { try gradient.sliced($0..<$0 + $1, dimension: axis) }
    }
  }

  /// Variables of the same shape joined along a new dimension: `torch.stack`.
  ///
  /// - Throws: `TrainingError` if there are none, or their shapes or types differ.
  public static func stack(_ parts: [Variable], dimension: Int = 0) throws -> Variable {
    try cat(try parts.map { try $0.unsqueezed(dimension) }, dimension: dimension)
  }

  /// The same numbers in another element type: `to(dtype)`. Gradients flow between the
  /// floating-point types.
  ///
  /// - Throws: `TrainingError.badType` if a number is not finite and the type is int64;
  ///   `TrainingError.outOfMemory`.
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
