extension Variable {
  /// The rows of a table that these indices name: `F.embedding`.
  ///
  /// - Parameters:
  ///   - weight: the table; its dimension 0 is indexed.
  ///   - paddingIndex: a row that gets no gradient; nil for none.
  /// - Returns: a variable of this variable's shape followed by the shape of a row.
  /// - Throws: `TrainingError` unless this variable has the type int64 and all its elements are
  ///   rows of the table.
  public func embedding(_ weight: Variable, paddingIndex: Int? = nil) throws -> Variable {
    try weight.rows(at: self, paddingIndex: paddingIndex)
  }

  private func rows(at indices: Variable, paddingIndex: Int?) throws -> Variable {
    guard rank >= 1, indices.scalarType == .int64 else {
      throw TrainingError.badShape(
        operation: "embedding", problem: "indices into a table of shape \(shape)")
    }
    let numbers = try indices.integers()
    for number in numbers where !(0..<shape[0]).contains(number) {
      throw TrainingError.badArgument(
        operation: "embedding", problem: "index \(number) into a table of \(shape[0]) rows")
    }
    let width = shape.dropFirst().reduce(1, *)
    let source = try contiguous()
    let result = try Variable(empty: indices.shape + shape.dropFirst(), scalarType)
    let bytes = width * scalarType.byteCount
    let (from, to) = (source.pointer(UInt8.self, at: 0), result.pointer(UInt8.self, at: 0))
    for (i, number) in numbers.enumerated() {
      (to + i * bytes).update(from: from + number * bytes, count: bytes)
    }
    keepAlive(source)
    let own = shape
    return result.computed(by: "embedding", from: [self]) { gradient in
      let gradient = try gradient.contiguous()
      let table = try Variable.zeros(own, gradient.scalarType)
      func backward<T: Scalar>(_: T.Type) {
        let (g, to) = (gradient.pointer(T.self), table.pointer(T.self))
        for (i, number) in numbers.enumerated() where number != paddingIndex {
          let (g, to) = (g + i * width, to + number * width)
          for j in 0..<width { to[j] += g[j] }
        }
      }
      gradient.scalarType == .float64 ? backward(Double.self) : backward(Float.self)
      keepAlive(gradient)
      return [table]
    }
  }

  /// The first byte of the element at `index`, counted from this variable's first element in
  /// memory.
  private func pointer(_: UInt8.Type, at index: Int) -> UnsafeMutablePointer<UInt8> {
    memory.pointer.assumingMemoryBound(to: UInt8.self) + (offset + index) * scalarType.byteCount
  }

  /// The elements, with `value` where `mask` is true: `torch.masked_fill`.
  ///
  /// - Parameters:
  ///   - mask: of type bool; broadcast to this variable's shape.
  ///   - value: the number to put there.
  /// - Throws: `TrainingError` if the shapes or element types do not fit.
  public func maskedFill(_ mask: Variable, _ value: Double) throws -> Variable {
    guard mask.scalarType == .bool else {
      throw TrainingError.badType(
        operation: "masked_fill", problem: "a mask of \(mask.scalarType.rawValue)")
    }
    try requireFloats("masked_fill")
    guard try Self.broadcast(shape, mask.shape, "masked_fill") == shape else {
      throw TrainingError.badShape(
        operation: "masked_fill", problem: "a mask of shape \(mask.shape) for \(shape)")
    }
    return try masked(mask, value).computed(by: "masked_fill", from: [self]) {
      [try $0.masked(mask, 0)]
    }
  }

  private func masked(_ mask: Variable, _ value: Double) throws -> Variable {
    let result = try Variable(empty: shape, scalarType)
    let walk = StridedWalk(shape: shape, strides: [strides, mask.strides(broadcastTo: shape)])
    func go<T: Scalar>(_: T.Type) {
      let (from, hides, to) = (
        pointer(T.self), mask.pointer(UInt8.self), result.pointer(T.self)
      )
      walk.rows(grain: elementGrain) { position, starts, length, steps in
        let (from, hides, to) = (from + starts[0], hides + starts[1], to + position)
        for i in 0..<length {
          to[i] = hides[i * steps[1]] != 0 ? T(value) : from[i * steps[0]]
        }
      }
    }
    scalarType == .float64 ? go(Double.self) : go(Float.self)
    keepAlive(mask)
    return result
  }
}
